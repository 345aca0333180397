"""The workers' entry points: one task class, one file a feature, the schedule, beat and the dispatcher's loop."""

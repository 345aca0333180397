"""Use cases of the queue: enqueue, claim, outcome, dispatch, rescue, schedules, callbacks, effects, reading."""

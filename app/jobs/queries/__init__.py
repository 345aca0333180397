"""All SQL of the queue, by what it is for: enqueue, claim, dispatch, reading, schedules, callbacks."""

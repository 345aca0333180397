"""The durable queue: the row is the job, a message is only a wake-up.

Tables: jobs, jobs_archive, job_keys, job_callbacks, effects, schedules, schedule_slots; it also empties core's outbox.
Kinds: jobs.deliver_callback, jobs.probe. Depends on accounts (who may do what) and core.
"""

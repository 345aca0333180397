"""The queue over HTTP: jobs, schedules, and what both need to answer."""

"""What every feature stands on: db, clock, redis, errors, http, paging, outbound, events, logging, metrics.

A closed list. Owns one table, `outbox` (in `events`). Depends on nothing above it.
"""

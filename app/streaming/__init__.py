"""Live events for clients, by SSE and WebSocket: the `stream` role, and the tickets that the API issues for it.

Tables: none; it reads the event stream and the subjects' latest from the broker, tickets and marks from the cache.
Job kinds: none. Depends on core, and in issuing tickets on accounts, jobs and oracle.
"""

"""Two edges: `tickets`, routes of the API, and `asgi`, the whole of the `stream` role."""

from __future__ import annotations

from app.streaming.routes import tickets

BLUEPRINTS = (tickets.blueprint,)

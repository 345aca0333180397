"""Redis for both sides of streaming: the API's tickets, and what the `stream` role reads. Built from settings."""

from __future__ import annotations

from app.core.redis import make_redis
from app.streaming.adapters.tickets import Tickets
from config.settings import Settings


def tickets_from_settings(settings: Settings) -> Tickets:
    """The API's side."""
    return Tickets(make_redis(settings.cache_url.get_secret_value()), settings.stream.ticket_seconds)


def public_url(settings: Settings) -> str:
    """Where clients reach the `stream` role."""
    stream = settings.stream
    return (stream.public_url or f"http://{stream.host}:{stream.port}").rstrip("/")

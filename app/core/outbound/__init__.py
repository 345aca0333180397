"""Calling outside services: `Outbound` for addresses an operator configured, `guarded_post` for those a client gave."""

from __future__ import annotations

from app.core.outbound.guarded import guarded_post
from app.core.outbound.pooled import Outbound
from app.core.outbound.reply import Reply

__all__ = ["Outbound", "Reply", "guarded_post"]

"""Telling a client that its job has ended: signed, at least once, and never to an address inside.

The receiver checks `Watchkeeper-Signature: t=<unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 of `<t>.<body>` with the
principal's own key (`GET /v1/callback-key`), and drops a `Watchkeeper-Delivery` it has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.clock import rfc3339
from app.core.db import release
from app.core.outbound.guarded import parse_target
from app.jobs.errors import CallbackFailed, JobNotFound
from app.jobs.queries import callbacks as queries
from app.jobs.queries.read import find_job

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Posts a body with headers to a URL that was checked, and gives the status; raises OutboundFailed or
AddressRefused.
"""


def deliver(session: Session, job_id: UUID, *, post: Post, secret: bytes, now: datetime) -> dict[str, Any]:
    """Deliver one callback; raises CallbackFailed, to be tried again, unless the receiver answers 2xx."""
    job = find_job(session, job_id)
    if job is None or job.callback_url is None:
        raise JobNotFound("The job is no longer kept.")
    url, key = job.callback_url, callback_key(secret, job.principal)
    body = callback_body(job)
    release(session)
    status = post(url, body, callback_headers(job_id, body, key, now))
    if not 200 <= status < 300:
        raise CallbackFailed(f"The receiver answered {status}.")
    queries.mark_delivered(session, job_id)
    return {"status": status}


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse at submission what would never be called; raises AddressRefused. Names are resolved at the delivery."""
    parse_target(url, allow_private=allow_private)


def callback_key(secret: bytes, principal: str) -> bytes:
    """A principal's own signing key, so that one client cannot sign for another."""
    return hmac.new(secret, b"callback:" + principal.encode(), hashlib.sha256).digest()


def callback_headers(job_id: UUID, body: bytes, key: bytes, now: datetime) -> dict[str, str]:
    """The headers of a delivery; the id is the same each time it is tried."""
    stamp = str(int(now.timestamp()))
    signature = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Watchkeeper",
        "Watchkeeper-Delivery": str(job_id),
        "Watchkeeper-Signature": f"t={stamp},v1={signature}",
    }


def callback_body(job: Row[Any]) -> bytes:
    """What is told: how the job ended. The same bytes each time."""
    told = {
        "event": "job.ended",
        "job": {
            "id": str(job.id),
            "kind": job.kind,
            "status": job.status,
            "result": job.result,
            "error": job.error,
            "attempt": job.attempt,
            "created_at": rfc3339(job.created_at),
            "finished_at": rfc3339(job.finished_at),
        },
    }
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()

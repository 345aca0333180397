"""What an outside service answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """An answer, read whole; the caller judges its status. A redirect is an answer like any other."""

    status: int
    headers: Mapping[str, str]
    body: bytes

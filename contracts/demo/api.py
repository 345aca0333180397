"""A client of the REST API, as anybody's would be: signs in, submits jobs under idempotency keys, polls them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import requests

TIMEOUT_SECONDS = 10.0


class Refused(RuntimeError):
    """The API answered with a problem; the message is its title and detail."""


class Api:
    """One signed-in client. Raises Refused, and requests' errors when the API cannot be reached."""

    def __init__(self, url: str):
        self._url = url
        self._session = requests.Session()

    def is_ready(self) -> bool:
        """True when requests may be sent."""
        try:
            return self._session.get(f"{self._url}/health/ready", timeout=TIMEOUT_SECONDS).status_code == 200
        except requests.ConnectionError:
            return False

    def sign_in(self, login: str, password: str) -> None:
        """Exchange a password for a token, which every later request carries."""
        tokens = self._send("POST", "/v1/auth/login", {"login": login, "password": password})
        self._session.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    def submit(self, kind: str, params: Mapping[str, Any]) -> str:
        """Submit a job twice under one key, as after a lost answer, and return its id; both must name one job."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        body = {"kind": kind, "params": dict(params)}
        first, second = (self._send("POST", "/v1/jobs", body, key) for _ in range(2))
        if first["id"] != second["id"]:
            raise Refused(f"one key made two jobs, {first['id']} and {second['id']}")
        return str(first["id"])

    def jobs(self) -> list[dict[str, Any]]:
        """The client's newest jobs, as they are now."""
        found: list[dict[str, Any]] = self._send("GET", "/v1/jobs?limit=100")["data"]
        return found

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self._session.request(method, self._url + path, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        content: dict[str, Any] = answer.json()
        if not answer.ok:
            raise Refused(f"{method} {path}: {content.get('title')}: {content.get('detail')}")
        return content

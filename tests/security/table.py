"""The security matrix: every route, who may call it, how a right call looks, and what it is to somebody else.

Written by hand and from the outside: the guards in the code are compared with it, never read into it. A route without
an entry fails `test_matrix`, and so does an entry without a route.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.accounts.types import Scope
from tests.accounts.conftest import PASSWORD
from tests.security import subjects
from tests.security.subjects import Parts
from tests.security.world import METRICS_TOKEN, Person, World

PUBLIC = "public"
SIGNED_IN = "signed in"
METRICS = "metrics token"  # /metrics has a token of its own, and no other credential opens it


class Others(Enum):
    """What one caller's things are to another with the same scopes."""

    SHARED = "there are no owners: the same for everybody who may call it"
    OWN = "it works on the caller's own things, and shows nothing of anybody else's"
    HIDDEN = "another's is not there: the same 404 as for what never was"
    ANYBODYS = "it reaches anybody's, which is what its scope is for"


@dataclass(frozen=True)
class Call:
    """A request, without its credentials."""

    method: str
    path: str
    json: Any
    headers: dict[str, str]
    parts: Parts


@dataclass(frozen=True)
class Entry:
    """One route. `status` is what a right call gets by whoever may; `key_status`, where an API key gets another."""

    method: str
    rule: str
    may: str
    status: int
    others: Others = Others.SHARED
    subject: Callable[[World, Person], Parts] = subjects.nothing
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    key_status: int | None = None
    reached_with: str | None = None
    """The operators' scope that reaches another's all the same."""
    also: tuple[str, ...] = ()
    """What this very call needs beside the guard's scope, for what it names."""
    query: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def scope(self) -> str | None:
        return None if self.may in (PUBLIC, SIGNED_IN, METRICS) else self.may

    @property
    def path_in_document(self) -> str:
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.rule)

    def call(self, world: World, owner: Person) -> Call:
        """A right call about a new subject of the owner's."""
        return self.about(self.subject(world, owner))

    def about(self, parts: Parts) -> Call:
        """A right call about this subject."""
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: parts[found[1]], self.rule)
        return Call(self.method, path + self.query, _filled(self.body, parts), self.headers, parts)


def _filled(body: Any, parts: Parts) -> Any:
    """The body with each `$name` replaced by that part of the subject."""
    if isinstance(body, dict):
        return {key: _filled(value, parts) for key, value in body.items()}
    return parts[body[1:]] if isinstance(body, str) and body.startswith("$") else body


OWN, HIDDEN, ANYBODYS = Others.OWN, Others.HIDDEN, Others.ANYBODYS
PROBE = {"kind": "jobs.probe", "params": {"note": "hello"}}
ONCE = {"Idempotency-Key": "the-same-key"}
NEW_USER = {"login": "$login", "password": PASSWORD, "scopes": []}
NEW_PASSWORD = {"current_password": PASSWORD, "password": "another horse battery"}
SIGN_IN = {"login": "$login", "password": "$password"}
ORDER = {
    "protocol": "watchkeeper_perps",
    "action": "open",
    "market": "1",
    "side": "long",
    "size": "1",
    "collateral": "10000",
    "price_limit": "1000000",
}
BY_METRICS_TOKEN = {"Authorization": f"Bearer {METRICS_TOKEN}"}

TABLE = (
    # The API itself
    Entry("GET", "/openapi.json", PUBLIC, 200),
    Entry("GET", "/docs", PUBLIC, 200),
    Entry("GET", "/docs/docs.css", PUBLIC, 200),
    Entry("GET", "/health/live", PUBLIC, 200),
    Entry("GET", "/health/ready", PUBLIC, 200, subject=subjects.rest),
    Entry("GET", "/metrics", METRICS, 200, headers=BY_METRICS_TOKEN),
    # Sessions and users
    Entry("POST", "/v1/auth/login", PUBLIC, 200, subject=subjects.user, body=SIGN_IN),
    Entry("POST", "/v1/auth/refresh", PUBLIC, 200, subject=subjects.user, body={"refresh_token": "$refresh_token"}),
    Entry("POST", "/v1/auth/logout", SIGNED_IN, 204, OWN, key_status=403),
    Entry("POST", "/v1/auth/password", SIGNED_IN, 204, OWN, body=NEW_PASSWORD, key_status=403),
    Entry("GET", "/v1/me", SIGNED_IN, 200, OWN),
    Entry("GET", "/v1/users", Scope.ADMIN, 200, ANYBODYS),
    Entry("POST", "/v1/users", Scope.ADMIN, 201, ANYBODYS, subjects.new_login, NEW_USER),
    Entry("GET", "/v1/users/<uuid:user_id>", Scope.ADMIN, 200, ANYBODYS, subjects.user),
    Entry("PUT", "/v1/users/<uuid:user_id>/scopes", Scope.ADMIN, 200, ANYBODYS, subjects.user, {"scopes": []}),
    Entry("POST", "/v1/users/<uuid:user_id>/activate", Scope.ADMIN, 200, ANYBODYS, subjects.user),
    Entry("POST", "/v1/users/<uuid:user_id>/deactivate", Scope.ADMIN, 200, ANYBODYS, subjects.user),
    Entry("GET", "/v1/audit", Scope.ADMIN, 200, ANYBODYS),
    # API keys
    Entry("GET", "/v1/api-keys", SIGNED_IN, 200, OWN, subjects.api_key),
    Entry("POST", "/v1/api-keys", "accounts:write", 201, OWN, body={"name": "robot", "scopes": []}),
    Entry("POST", "/v1/api-keys/<uuid:key_id>/rotate", "accounts:write", 200, HIDDEN, subjects.api_key, {}),
    Entry("DELETE", "/v1/api-keys/<uuid:key_id>", "accounts:write", 204, HIDDEN, subjects.api_key),
    # Jobs
    Entry("POST", "/v1/jobs", "jobs:write", 202, OWN, body=PROBE, headers=ONCE),
    Entry("POST", "/v1/jobs/batch", "jobs:write", 200, OWN, body={"jobs": [PROBE]}, headers=ONCE),
    Entry("GET", "/v1/jobs", "jobs:read", 200, OWN, subjects.queued_job),
    Entry("GET", "/v1/jobs/<uuid:job_id>", "jobs:read", 200, HIDDEN, subjects.queued_job, reached_with="ops:read"),
    Entry(
        "POST",
        "/v1/jobs/<uuid:job_id>/cancel",
        "jobs:cancel",
        202,
        HIDDEN,
        subjects.queued_job,
        reached_with="ops:write",
    ),
    Entry(
        "POST", "/v1/jobs/<uuid:job_id>/retry", "jobs:write", 202, HIDDEN, subjects.ended_job, reached_with="ops:write"
    ),
    Entry(
        "POST",
        "/v1/jobs/<uuid:job_id>/resolve",
        "ops:write",
        200,
        ANYBODYS,
        subjects.job_in_doubt,
        {"status": "failed"},
    ),
    Entry("GET", "/v1/job-kinds", "jobs:read", 200),
    Entry("GET", "/v1/callback-key", "jobs:write", 200, OWN),
    # Schedules
    Entry("GET", "/v1/schedules", "jobs:read", 200),
    Entry("GET", "/v1/schedules/<name>", "jobs:read", 200, subject=subjects.one_schedule),
    Entry("PATCH", "/v1/schedules/<name>", "ops:write", 200, ANYBODYS, subjects.one_schedule, {"paused": False}),
    Entry("POST", "/v1/schedules/<name>/run", "ops:write", 202, ANYBODYS, subjects.idle_schedule),
    # The chain, prices, perps
    Entry("GET", "/v1/chain/alarms", "chain:read", 200),
    Entry("GET", "/v1/chain/audits", "chain:read", 200),
    Entry("POST", "/v1/chain/alarms/<uuid:alarm_id>/resolve", "ops:write", 200, ANYBODYS, subjects.alarm),
    Entry("GET", "/v1/chain/contract-sets", "chain:read", 200),
    Entry("POST", "/v1/chain/contract-sets/<name>/resume", "ops:write", 200, ANYBODYS, subjects.halted_set),
    Entry("GET", "/v1/transactions", "chain:read", 200),
    Entry("GET", "/v1/transactions/<uuid:transaction_id>", "chain:read", 200, subject=subjects.transaction),
    Entry(
        "POST",
        "/v1/transactions/<uuid:transaction_id>/cancel",
        "chain:write",
        202,
        ANYBODYS,
        subjects.transaction,
    ),
    Entry("GET", "/v1/signers", "chain:read", 200),
    Entry("POST", "/v1/signers/<address>/resume", "ops:write", 200, ANYBODYS, subjects.halted_signer),
    Entry("POST", "/v1/signers/<address>/reset-breaker", "ops:write", 200, ANYBODYS, subjects.tripped_signer),
    Entry("GET", "/v1/events", "chain:read", 200),
    Entry("GET", "/v1/prices", "oracle:read", 200),
    Entry("GET", "/v1/prices/<path:name>", "oracle:read", 200, subject=subjects.feed),
    Entry("GET", "/v1/prices/<path:name>/average", "oracle:read", 200, subject=subjects.feed),
    Entry("GET", "/v1/candles/<path:name>", "oracle:read", 200, subject=subjects.feed),
    Entry("GET", "/v1/prices/<path:name>/history", "oracle:read", 200, subject=subjects.feed),
    Entry("GET", "/v1/markets", "perps:read", 200),
    Entry("GET", "/v1/markets/<protocol>/<market_id>", "perps:read", 200, subject=subjects.market),
    Entry("GET", "/v1/positions", "perps:read", 200),
    Entry("GET", "/v1/positions/<protocol>/<key>", "perps:read", 200, subject=subjects.position),
    Entry("GET", "/v1/conditional-orders", "perps:read", 200),
    Entry("GET", "/v1/conditional-orders/<protocol>/<key>", "perps:read", 200, subject=subjects.order),
    Entry("GET", "/v1/price-updates", "perps:read", 200),
    Entry("POST", "/v1/transactions/build", "perps:read", 200, body=ORDER),
    Entry("GET", "/v1/funding-rates", "perps:read", 200),
    Entry("GET", "/v1/liquidations", "perps:read", 200),
    Entry("GET", "/v1/pnl", "perps:read", 200),
    Entry("GET", "/v1/keeper-actions", "perps:read", 200),
    # Streams: which topics need which scope, and whose jobs they are, is held by tests/streaming/test_tickets.py
    Entry("POST", "/v1/stream-tickets", SIGNED_IN, 201, body={"topics": ["prices:*"]}, also=("oracle:read",)),
    Entry("GET", "/v1/stream", SIGNED_IN, 307, query="?topic=prices:*", also=("oracle:read",)),
)

"""The clients: they submit over HTTP while the fault strikes, with an Idempotency-Key each.

A request that gets no answer, or one that says "not now", is sent again with the same key until it is answered; some
have no key and are sent once. What was answered with 202 is accepted: from then on it may neither be lost nor happen
twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import requests

from app.core.clock import utc_now
from app.core.http.problems import MEDIA_TYPE
from app.jobs.types import JobKind
from tests.faults import kinds

CLIENTS = 6
BATCH, LINE = 12, 6
LONG_MILLISECONDS = 5000
Body = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """What is submitted, in requests of each sort, spread evenly over `seconds`."""

    singles: int = 18
    keyless: int = 8
    batches: int = 2
    steps: int = 12  # so many that the child with the order gets two of them, whichever it is
    notify: int = 4
    pay: int = 4
    lines: int = 1
    seconds: float = 2.0
    milliseconds: int = 15
    long: int = 0
    poison: int = 0
    fast: int = 0
    calls_back: bool = False


@dataclass(frozen=True)
class Request:
    """One request: a key, and the jobs in it. Without the key's header it is sent once, whatever comes of it."""

    key: str
    jobs: tuple[Body, ...]
    batch: bool
    keyless: bool = False


@dataclass
class Storm:
    """The clients' requests, and what became of them.

    A client gives up on a request after `patience_seconds`; what it asked for may then be there or not.
    """

    url: str
    headers: dict[str, str]
    requests: Sequence[Request]
    seconds: float
    patience_seconds: float
    accepted: dict[str, str] = field(default_factory=dict)
    unanswered: list[Request] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    crude: list[str] = field(default_factory=list)
    answers: list[tuple[datetime, datetime]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor | None = None
    _futures: list[Future[None]] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)

    def let_loose(self) -> None:
        """Begin; returns at once."""
        self._pool = ThreadPoolExecutor(CLIENTS)
        begun = time.monotonic()
        gap = self.seconds / max(1, len(self.requests))
        for number, request in enumerate(self.requests):
            self._futures.append(self._pool.submit(self._send, request, begun + number * gap))

    def wait(self) -> None:
        """Until each request is answered or given up."""
        for future in self._futures:
            future.result()

    def stop(self) -> None:
        """Give up what is not answered: the row is over, or was broken off."""
        self._over.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _send(self, request: Request, due: float) -> None:
        self._over.wait(max(0.0, due - time.monotonic()))
        sent_at = utc_now()
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.02
        while time.monotonic() < deadline and not self._over.is_set():
            answer = self._try(request)
            self._judge(answer)
            if answer is not None and answer.status_code < 429:
                self._note(request, answer)
                self.answers.append((sent_at, utc_now()))
                return
            if request.keyless:
                return
            self._over.wait(pause)
            pause = min(0.5, pause * 2)
        self.unanswered.append(request)

    def _judge(self, answer: requests.Response | None) -> None:
        """Whatever strikes, an answer is a problem of the catalogue, and a failing server says when to come again."""
        if answer is None:
            return
        self.statuses[answer.status_code] += 1
        polite = answer.status_code == 503 and "Retry-After" in answer.headers
        if answer.status_code >= 500 and not (polite and answer.headers["Content-Type"] == MEDIA_TYPE):
            self.crude.append(f"{answer.status_code} {answer.text[:200]}")

    def _try(self, request: Request) -> requests.Response | None:
        path = "/v1/jobs/batch" if request.batch else "/v1/jobs"
        body = {"jobs": list(request.jobs)} if request.batch else request.jobs[0]
        headers = self.headers | ({} if request.keyless else {"Idempotency-Key": request.key})
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        try:
            return session.post(self.url + path, json=body, headers=headers, timeout=15)
        except requests.RequestException:
            session.close()
            return None

    def _note(self, request: Request, answer: requests.Response) -> None:
        if not answer.ok:
            self.refused.append(f"{answer.status_code} {answer.text[:200]}")
            return
        found = answer.json()
        jobs = [item["job"] for item in found["data"]] if request.batch else [found]
        for asked, job in zip(request.jobs, jobs, strict=True):
            self.accepted[asked["params"]["subject"]] = job["id"]


def plan(load: Load, rng: Random, name: str, callback: str) -> list[Request]:
    """The requests of a load, in an order that the seed draws."""
    common = {"callback_url": callback} if load.calls_back else {}
    # What is asked for, how many of it in one request, and with which parameters beside the usual ones.
    wanted: list[tuple[JobKind, int, Body]] = [
        *[(kinds.WORK, 1, {})] * (load.singles + load.keyless),
        *[(kinds.STEPS, 1, {"steps": 4})] * load.steps,
        *[(kinds.NOTIFY, 1, {})] * load.notify,
        *[(kinds.PAY, 1, {})] * load.pay,
        *[(kinds.WORK, 1, {"milliseconds": LONG_MILLISECONDS})] * load.long,
        *[(kinds.WORK, 1, {"die": kinds.ALWAYS})] * load.poison,
        *[(kinds.FAST, 1, {})] * load.fast,
        *[(kind, BATCH, {}) for kind in (kinds.BULK, kinds.WORK)[: load.batches]],
        *[(kinds.SERIAL, LINE, {"line": f"{name}-{number}"}) for number in range(load.lines)],
    ]
    made = []
    for number, (kind, count, params) in enumerate(wanted):
        key = f"{name}-{number}"
        usual = [{"subject": f"{key}/{n}", "milliseconds": load.milliseconds} for n in range(count)]
        jobs = tuple(common | {"kind": kind.name, "params": one | params} for one in usual)
        made.append(Request(key, jobs, batch=count > 1, keyless=number < load.keyless))
    rng.shuffle(made)
    return made

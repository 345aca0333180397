"""Shared buffers that the queue's hot statements touch, at two sizes of the live table: what grows with the backlog.

`fill` makes a live table with a realistic mix; `buffers_per_claim` and `buffers_per_page` read EXPLAIN (ANALYZE,
BUFFERS) of the statements themselves. A page is asked for with every combination of the filters that the API allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ClauseElement, Connection, Engine, Executable, text
from sqlalchemy.ext.compiler import compiles

from app.jobs.queries import claim, dispatch, read
from app.jobs.services.dispatch import SWEPT_AT_ONCE
from app.jobs.types import JobFilter, Queue

BAR = 1.5
CLAIMS = 150
WINDOW = 200
ARCHIVED = 10_000
LIMIT = 51  # a page of fifty, and the row that tells there is more
PAGE_BOUND = 2 * (read.MOST_WALKED + 20)  # of each table, a heap page for every row walked, and the index's own
REFUSED_NODES = frozenset({"Seq Scan", "Parallel Seq Scan", "Sort", "Incremental Sort"})

BATCHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dispatch": (dispatch.FILL, {"queues": list(Queue), "sizes": [WINDOW] * len(Queue)}),
    "outstanding": (dispatch.OUTSTANDING, {}),
    "resend": (dispatch.FORGET, {"queue": "default", "missing": 100, "after": 2.0}),
    "rescue": (dispatch.RESCUE, {"max_crashes": 10, "poisoned": "{}", "in_doubt": "{}"}),
    "expire": (dispatch.EXPIRE, {}),
    "archive": (dispatch.ARCHIVE, {"after": 0.0, "most": SWEPT_AT_ONCE}),
}
"""What the dispatcher does; what finds nothing here is still held to an index."""

Choices = Mapping[str, tuple[str | None, ...]]
EVERY: Choices = {
    "principal": ("user:big", "user:3", None),
    "status": (None, "queued", "succeeded", "failed", "running"),
    "kind": (None, "b.one"),
    "queue": (None, "perps"),
    "schedule": (None, "schedule3"),
}
"""What each filter is set to, or not: common and rare values, some of which no job has together."""

# Older jobs have ended, newer ones are queued, some for later. Half are one principal's, one in twenty is a schedule's,
# the rest belong to principals with some fifty jobs each, whatever the size.
MADE = """
    SELECT n, principal, made_at, status, kinds[1 + n % 6] AS kind, queues[1 + n % 6] AS queue,
           CAST(lpad(to_hex(CAST(extract(epoch FROM made_at) * 1000 AS bigint)), 12, '0') || '7'
                || lpad(to_hex(n % 4096), 3, '0') || '8' || substr(md5(CAST(n AS text)), 1, 15) AS uuid) AS id,
           CASE WHEN n % 20 = 1 THEN 'schedule' || n / 20 % 7 END AS schedule,
           status IN ('succeeded', 'failed', 'cancelled', 'expired') AS ended
    FROM (
        SELECT n, statement_timestamp() - make_interval(secs => (:rows - n) * 0.01) AS made_at,
               CASE WHEN n % 20 = 1 THEN 'system' WHEN n % 2 = 0 THEN 'user:big'
                    ELSE 'user:' || n % (:rows / 50) END AS principal,
               CASE WHEN n > :rows * 0.45 + 20 AND :live THEN 'queued'
                    WHEN n > :rows * 0.45 + 16 AND :live THEN 'in_doubt'
                    WHEN n > :rows * 0.45 AND :live THEN 'running'
                    WHEN n % 37 = 0 THEN 'failed' WHEN n % 101 = 0 THEN 'cancelled' WHEN n % 103 = 0 THEN 'expired'
                    ELSE 'succeeded' END AS status
        FROM generate_series(1, :rows) AS n
    ) AS drawn, (SELECT ARRAY['a.one', 'a.two', 'b.one', 'b.two', 'c.one', 'c.two'] AS kinds,
                        ARRAY['default', 'default', 'bulk', 'bulk', 'perps', 'chain'] AS queues) AS menu
"""
COLUMNS = """id, kind, principal, queue, priority, status, params, run_at, max_attempts, attempt, fence, schedule,
    slot_at, result, request_id, created_at, started_at, finished_at"""
VALUES = """id, kind, principal, queue, 5, status,
    jsonb_build_object('note', md5(CAST(n AS text)), 'number', n),
    made_at + CASE WHEN n % 40 = 0 THEN interval '30 days' ELSE interval '0' END, 5,
    CASE WHEN status = 'queued' THEN 0 ELSE 1 END, CASE WHEN status = 'queued' THEN 0 ELSE 1 END,
    schedule, CASE WHEN schedule IS NOT NULL THEN made_at END,
    CASE WHEN status = 'succeeded' THEN jsonb_build_object('number', n) END, md5(CAST(n AS text)),
    made_at, CASE WHEN status <> 'queued' THEN made_at END, CASE WHEN ended THEN made_at END"""
FILL_LIVE = f"""
    INSERT INTO jobs ({COLUMNS}, claim_token, lease_until, worker)
    SELECT {VALUES}, CASE WHEN status = 'running' THEN gen_random_uuid() END,
           CASE WHEN status = 'running' THEN statement_timestamp() + interval '1 day' END,
           CASE WHEN status = 'running' THEN 'host:1' END
    FROM ({MADE}) AS made
"""  # noqa: S608 - the parts are the constants above
FILL_ARCHIVE = f"INSERT INTO jobs_archive ({COLUMNS}) SELECT {VALUES} FROM ({MADE}) AS made"  # noqa: S608

READY = "SELECT id FROM jobs WHERE status = 'queued' AND run_at <= now() ORDER BY md5(CAST(id AS text)) LIMIT :most"
MIDDLE = "SELECT id FROM jobs ORDER BY id OFFSET (SELECT count(*) / 3 FROM jobs) LIMIT 1"


@dataclass(frozen=True)
class Row:
    """One figure of the report: shared buffers at 10³ and at 10⁶ live rows."""

    metric: str
    small: float
    large: float
    bar: float = BAR

    @property
    def ratio(self) -> float:
        """How much it grew."""
        return self.large / self.small

    @property
    def ok(self) -> bool:
        """Within the bar."""
        return self.ratio <= self.bar


def report(small: Engine, large: Engine, choices: Choices = EVERY) -> list[Row]:
    """What both sizes touch, on two filled databases: each step of a job, each page that an index serves whole, and
    the dearest page there is, held against what it may walk at the most.
    """
    steps = buffers_per_claim(small), buffers_per_claim(large)
    found = [Row(f"buffers: {name}", mean, steps[1][name]) for name, mean in steps[0].items()]
    pages = buffers_per_page(small, choices), buffers_per_page(large, choices)
    for name, page in pages[0].items():
        if page.is_whole and page.rows >= LIMIT and pages[1][name].rows >= LIMIT:
            found.append(Row(f"buffers: page of {' '.join(name)}", page.buffers, pages[1][name].buffers))
    dearest = max(page.buffers for page in pages[1].values())
    found.append(Row(f"buffers: dearest of {len(pages[1])} pages, beside its bound", PAGE_BOUND, dearest, bar=1.0))
    return found


def fill(engine: Engine, rows: int, archived: int = ARCHIVED) -> None:
    """Make `rows` live jobs, and the same archive for every size, in empty tables; let Postgres know of them."""
    with engine.begin() as connection:
        connection.execute(text(FILL_ARCHIVE), {"rows": archived, "live": False})
        connection.execute(text(FILL_LIVE), {"rows": rows, "live": True})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs, jobs_archive"))


def buffers_per_claim(engine: Engine) -> dict[str, float]:
    """Mean buffers of what happens to a job: claim, heartbeat, finish, find; dispatch and archive, a job of a batch."""
    found: dict[str, list[float]] = {name: [] for name in ("claim", "claim next", "heartbeat", "finish", "find")}
    with engine.connect() as connection:
        ids = connection.scalars(text(READY), {"most": CLAIMS}).all()
        connection.rollback()
        for job_id in ids:
            for name, (statement, values) in _life(job_id).items():
                found[name].append(touched(explain(connection, statement, values)))
                connection.commit()
        for name in found:
            found[name].pop(0)  # the first of a connection reads the catalogue too
        batches = {name: explain(connection, *batch) for name, batch in BATCHES.items()}
        connection.rollback()
    means = {name: sum(figures) / len(figures) for name, figures in found.items()}
    jobs = {"dispatch": batches["dispatch"]["Actual Rows"], "archive": SWEPT_AT_ONCE}
    return means | {name: touched(batches[name]) / count for name, count in jobs.items()}


def _life(job_id: UUID) -> dict[str, tuple[Any, dict[str, Any]]]:
    token = uuid4()
    ended = dict.fromkeys(claim.ITEM) | {"id": job_id, "status": "succeeded", "give_back": False, "result": {}}
    claimed = {"token": token, "lease": 30.0, "worker": "host:1", "flush": "off"}
    return {
        "claim": (claim.CLAIM, claimed | {"ids": [job_id]}),
        "claim next": (claim.CLAIM_NEXT, claimed | {"token": uuid4(), "queue": "default", "kind": "a.one"}),
        "heartbeat": (claim.HEARTBEAT, {"ids": [job_id], "token": token, "lease": 30.0, "progress": None}),
        "finish": (claim.FINISH_ONE, ended | {"token": token}),
        "find": (read.job_by_id(job_id), {}),
    }


@dataclass(frozen=True)
class PageCost:
    """What one page touched; `is_whole` when an index alone answers its filters, with nothing left out on the way."""

    buffers: float
    rows: int
    is_whole: bool


def buffers_per_page(engine: Engine, choices: Choices = EVERY) -> dict[tuple[str, ...], PageCost]:
    """What a page costs for every combination of filters, at the top of the list and deep in it."""
    costs = {}
    with engine.connect() as connection:
        deep = connection.scalar(text(MIDDLE))
        connection.execute(read.WALK_ONLY)
        for name, wanted in combinations(choices):
            page = read.page_of_jobs(wanted, before=deep if "deep" in name else None, limit=LIMIT)
            first, again = (explain(connection, page, {}) for _ in range(2))  # the first may read the catalogue too
            cost = min(touched(first), touched(again))
            costs[name] = PageCost(cost, first["Actual Rows"], not read.left_out_by(wanted))
    return costs


def combinations(choices: Choices) -> Iterator[tuple[tuple[str, ...], JobFilter]]:
    """Every combination of the filters' choices, each with its name."""
    for values in product(*choices.values()):
        given = dict(zip(choices, values, strict=True))
        name = tuple(value or "*" for value in values)
        for place in ("top", "deep"):
            yield (*name, place), JobFilter(**given)  # type: ignore[arg-type]


class Explained(Executable, ClauseElement):
    """A statement that is executed and answers with its plan."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(Explained)
def _explain(element: Explained, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(compiler.process(element.statement, **options))


def explain(connection: Connection, statement: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Execute, and return the plan's root; raises ValueError for one that scans a table or sorts.

    The caller's transaction has the effects.
    """
    (answer,) = connection.execute(Explained(statement), values).one()[0]
    refused = {node["Node Type"] for node in _nodes(answer["Plan"])} & REFUSED_NODES
    if refused:
        raise ValueError(f"{sorted(refused)} in the plan of {str(statement)[:300]}")
    return dict(answer["Plan"])


def touched(plan: Mapping[str, Any]) -> float:
    """The shared buffers of a plan that was executed."""
    return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)

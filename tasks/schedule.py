"""What runs by itself, and when: seeded into Postgres by `manage.py migrate`; operators' overrides survive a deploy."""

from __future__ import annotations

from pathlib import Path

from app.chain.jobs import AUDIT_RANGES, INDEX_HEAD, WATCH_TRANSACTIONS
from app.jobs.types import Cadence, CatchUp, Overlap, ScheduleEntry
from app.ops.jobs import PRUNE
from app.oracle.jobs import AGGREGATE_PRICES, REFRESH_PRICES
from app.perps.jobs import EXECUTE_ORDERS, SCAN_LIQUIDATIONS, SETTLE_FUNDING
from config.settings import Settings


def schedule(settings: Settings) -> tuple[ScheduleEntry, ...]:
    """The table: a name, a sentence, a kind, a cadence, and what an outage or an overlap means."""
    return (
        *(
            ScheduleEntry(
                name=f"index_{Path(file).stem}",
                summary=f"New events of {Path(file).stem}, from where it stands to the chain's head.",
                kind=INDEX_HEAD,
                cadence=Cadence(interval_seconds=settings.perps.index_seconds),
                params={"contract_set": Path(file).stem},
            )
            for file in settings.chain.protocol_files
        ),
        *(
            ScheduleEntry(
                name=f"audit_{Path(file).stem}",
                summary=f"Rows of {Path(file).stem} held against the chain again, a range at a time.",
                kind=AUDIT_RANGES,
                cadence=Cadence(interval_seconds=settings.chain.audit_seconds),
                params={"contract_set": Path(file).stem},
            )
            for file in settings.chain.protocol_files
        ),
        ScheduleEntry(
            name="prices",
            summary="The latest price of every feed that is followed.",
            kind=REFRESH_PRICES,
            cadence=Cadence(interval_seconds=settings.perps.price_seconds),
        ),
        *_aggregates(settings),
        ScheduleEntry(
            name="transactions",
            summary="Every live transaction a step further: mined, final, replaced or sent again.",
            kind=WATCH_TRANSACTIONS,
            cadence=Cadence(interval_seconds=settings.chain.watch_seconds),
        ),
        ScheduleEntry(
            name="liquidations",
            summary="Positions that the latest prices endanger: found, tried, liquidated.",
            kind=SCAN_LIQUIDATIONS,
            cadence=Cadence(interval_seconds=settings.perps.scan_seconds),
        ),
        ScheduleEntry(
            name="orders",
            summary="Orders whose price has come: found, tried, executed.",
            kind=EXECUTE_ORDERS,
            cadence=Cadence(interval_seconds=settings.perps.scan_seconds),
        ),
        ScheduleEntry(
            name="funding",
            summary="Every market's funding settled on chain; each slot once, also after an outage.",
            kind=SETTLE_FUNDING,
            cadence=Cadence(interval_seconds=settings.perps.funding_seconds),
            catch_up=CatchUp.ALL,
            overlap=Overlap.QUEUE,
        ),
        ScheduleEntry(
            name="prune",
            summary="Partitions for the coming days; old rows forgotten.",
            kind=PRUNE,
            cadence=Cadence(crontab="17 3 * * *"),
        ),
    )


def _aggregates(settings: Settings) -> tuple[ScheduleEntry, ...]:
    """Without a source beside Pyth, and without a sequencer, nobody is asked."""
    sources = settings.oracle.sources
    if not (sources.chainlink or sources.tickers or settings.oracle.sequencer.feed):
        return ()
    return (
        ScheduleEntry(
            name="aggregates",
            summary="One price a symbol of all its sources, with what each of them said; whether the sequencer runs.",
            kind=AGGREGATE_PRICES,
            cadence=Cadence(interval_seconds=sources.seconds),
        ),
    )

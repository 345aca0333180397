"""`manage.py bench decode`: events cut into words beside eth-abi, and written beside SQLAlchemy's bulk insert."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as insert_or_pass
from sqlalchemy.orm import Session

from app.chain.maths.abi import compile_event
from app.chain.models.events import ChainEvent
from app.chain.queries.events import insert_events
from app.chain.types.abi import EventAbi
from app.chain.types.blocks import Log
from bench.machine import describe
from bench.report import Report, Row, compared
from bench.stand import OURS, Stand, standing

PARTS = ("decode", "write")
CHAIN_ID, TIMESTAMP = 1, 1_700_000_000
DECODED, BY_ETH_ABI, WRITTEN, LOGS_A_BLOCK = 200_000, 5_000, 20_000, 50
WORD = 32
INPUTS: dict[str, list[tuple[str, bool]]] = {
    "Transfer": [("address", True), ("address", True), ("uint256", False)],
    "PositionOpened": [("uint256", True), ("address", True), ("uint256", True), ("bool", False)]
    + [("uint256", False)] * 4
    + [("int256", False), ("uint256", False)],
}
Figures = list[float]


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """Both parts, or one."""
    load_before = os.getloadavg()[0]
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        rows: list[Row] = []
        if not only or "decode" in only:
            rows += [row for name in INPUTS for row in decoding(name, runs, progress)]
        if not only or "write" in only:
            rows += writing(stand, runs, progress)
    return Report(bench="decode", machine=machine, runs=runs, rows=rows)


def decoding(name: str, runs: int, progress: Callable[[str], None]) -> list[Row]:
    """One event's decoder, its check, and eth-abi on the same log, in turn."""
    event = compiled(name)
    log = a_log(event, name, 0)
    types = [type_ for type_, indexed in INPUTS[name] if not indexed]
    ours, checks, theirs = Figures(), Figures(), Figures()
    for run in range(runs):
        progress(f"decode: {name}, run {run + 1} of {runs}")
        ours.append(a_second(event.decode, DECODED, log))
        checks.append(a_second(event.check, DECODED, log))
        theirs.append(a_second(lambda one: decode(types, one.data), BY_ETH_ABI, log))
    fastest = Row(metric=f"{name}, {len(INPUTS[name])} values: decoded a second, one core", ours=max(ours))
    return [
        fastest if name != "Transfer" else Row(metric=fastest.metric, ours=fastest.ours, bar=1_000_000),
        Row(metric=f"{name}: checked a second", ours=max(checks)),
        compared(f"{name}: decoded a second, baseline: eth-abi, its data alone", ours, theirs),
    ]


def a_second(read: Callable[[Log], object], times: int, log: Log) -> float:
    """How often `read` runs in a second of processor time."""
    began = time.thread_time()
    for _ in range(times):
        read(log)
    return times / (time.thread_time() - began)


def compiled(name: str) -> EventAbi:
    """The event's decoder."""
    inputs = [
        {"name": f"v{place}", "type": type_, "indexed": indexed} for place, (type_, indexed) in enumerate(INPUTS[name])
    ]
    return compile_event({"type": "event", "name": name, "inputs": inputs})


def a_log(event: EventAbi, name: str, number: int) -> Log:
    """A log that fits it."""
    words = [(1 + number * (type_ == "uint256")).to_bytes(WORD, "big") for type_, _ in INPUTS[name]]
    indexed = sum(is_indexed for _, is_indexed in INPUTS[name])
    block, place = divmod(number, LOGS_A_BLOCK)
    block_hash, address = block.to_bytes(WORD, "big"), bytes(20)
    assert event.topic is not None
    topics = (event.topic, *words[:indexed])
    return Log(block, block_hash, place, block_hash, place, address, topics, b"".join(words[indexed:]))


def writing(stand: Stand, runs: int, progress: Callable[[str], None]) -> list[Row]:
    """The same rows into the same table by COPY, by SQLAlchemy's bulk insert, and by the one that passes over rows that
    are there; each in a transaction that is committed.
    """
    event = compiled("PositionOpened")
    logs = [a_log(event, "PositionOpened", number) for number in range(WRITTEN)]
    times = {log.block_number: TIMESTAMP for log in logs}
    values = [_values(log) for log in logs]
    ways: dict[str, Callable[[Session], Any]] = {
        "copy": lambda session: insert_events(session, CHAIN_ID, logs, times, {}),
        "bulk": lambda session: session.execute(insert(ChainEvent), values),
        "passing": lambda session: session.execute(insert_or_pass(ChainEvent).on_conflict_do_nothing(), values),
    }
    engine = stand.engine(OURS)
    found: dict[str, Figures] = {name: [] for name in ways}
    for run in range(runs):
        progress(f"write: run {run + 1} of {runs}")
        for name, write in ways.items():
            stand.sql(OURS, "TRUNCATE chain_events")
            with Session(engine) as session:
                began = time.perf_counter()
                write(session)
                session.commit()
                found[name].append(WRITTEN / (time.perf_counter() - began))
    engine.dispose()
    return [
        compared("rows a second by COPY, baseline: SQLAlchemy's bulk insert", found["copy"], found["bulk"], bar=4),
        compared("rows a second by COPY, baseline: bulk ON CONFLICT DO NOTHING", found["copy"], found["passing"]),
    ]


def _values(log: Log) -> dict[str, Any]:
    topics = dict(zip(("topic0", "topic1", "topic2", "topic3"), (*log.topics, None, None, None), strict=False))
    return {
        "chain_id": CHAIN_ID,
        "block_number": log.block_number,
        "block_hash": log.block_hash,
        "log_index": log.log_index,
        "transaction_hash": log.transaction_hash,
        "transaction_index": log.transaction_index,
        "address": log.address,
        "data": log.data,
        "mined_at": datetime.fromtimestamp(TIMESTAMP, UTC),
        **topics,
    }

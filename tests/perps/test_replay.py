"""A replay: recorded events and prices judged again, beside what happened; nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.oracle.adapters import rules_from
from app.oracle.queries.prices import record_prices
from app.oracle.types.prices import Price
from app.perps.errors import NothingToReplay
from app.perps.services.replay import replay, replay_text, show_replay
from config.groups import OracleSettings
from contracts.build import artifact
from contracts.feeds import FEEDS
from contracts.markets import WAD
from tests.perps.history import (
    CHAIN_ID,
    EXCHANGE,
    GENESIS,
    PROTOCOL_FILE,
    PYTH,
    History,
    closed,
    collateral_changed,
    funding_settled,
    liquidated,
    market_added,
    opened,
    our_protocol,
)

ROOT = Path(__file__).resolve().parents[2]
EXPO = -8


@pytest.fixture
def history(session: Session) -> History:
    """A market in block 1."""
    told = History(session, our_protocol())
    told.fold(1, market_added(1))
    return told


def price(session: Session, at_block: float, value: str, *, conf: str = "0") -> None:
    """A price recorded so many blocks after the genesis; a block takes twelve seconds."""
    raw = int(Decimal(value).scaleb(-EXPO))
    published = datetime.fromtimestamp(GENESIS + int(12 * at_block), UTC)
    one = {"feed": FEEDS[0].price_id, "price": raw, "conf": int(Decimal(conf).scaleb(-EXPO)), "expo": EXPO}
    rest = {"publish_time": published, "ema_price": raw, "ema_conf": 0, "slot": 1, "sequence": 1}
    record_prices(session, [Price(**one, **rest)])


def long(number: int, collateral: int, **changes: Any) -> Any:
    """A long of one unit from 1 000; at 1.5 % it needs `collateral` − 1 000 + price ≥ 0.015 · price."""
    return opened(number, entry_price=1000 * WAD, collateral=collateral * WAD, size=WAD, **changes)


def replayed(session: Session, first: int, last: int) -> dict[str, Any]:
    before = session.connection().exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar()
    found = replay(session, our_protocol(), rules_from(OracleSettings(), CHAIN_ID), from_block=first, to_block=last)
    assert session.connection().exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar() == before
    assert f"{len(found.crossings)} positions would have been liquidated" in replay_text(found)
    return show_replay(found)


def crossings(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("position", "block_number", "price", "shortfall", "status", "ended_block_number")
    return [tuple(one[name] for name in names) for one in report["would_have_been_liquidated"]]


def test_who_crosses_first_and_what_became_of_each(history: History, session: Session) -> None:
    history.fold(2, long(1, 100), long(2, 60), long(3, 60), long(4, 900))
    price(session, 4, "950")
    price(session, 4.5, "913")
    history.fold(6, liquidated(2, price=930 * WAD), closed(3, exit_price=950 * WAD))
    history.fold(7, opened(5, is_long=False, entry_price=1000 * WAD, collateral=100 * WAD, size=WAD))
    price(session, 8, "1090")
    history.fold(9, collateral_changed(4, 900 * WAD))
    report = replayed(session, 2, 9)
    *longs, short = crossings(report)
    assert longs == [
        ("2", 2, "950", "4.25", "liquidated", 6),  # 10 left of 14.25
        ("3", 2, "950", "4.25", "closed", 6),
        ("1", 2, "913", "0.695", "open", None),
    ]
    assert (short[:3], short[4:]) == (("5", 7, "1090"), ("open", None))
    assert (report["prices"], report["events"], report["liquidated_unforeseen"]) == (3, 9, [])
    second = report["would_have_been_liquidated"][0]
    assert (second["verdict"], second["liquidation"]["price"]) == ("certain", "930")


def test_only_the_range_counts_and_all_before_it_is_folded(history: History, session: Session) -> None:
    history.fold(2, long(1, 60), long(2, 60), long(3, 60))
    price(session, 3, "900")
    history.fold(4, liquidated(1))
    history.fold(5, collateral_changed(2, 500 * WAD))
    price(session, 6, "940")
    history.fold(8, collateral_changed(3, 600 * WAD))
    price(session, 9, "800")
    report = replayed(session, 5, 8)
    assert crossings(report) == [("3", 5, "940", "14.1", "open", None)]
    assert (report["from_block"], report["prices"]) == (5, 1)
    assert report["start_at"].startswith(datetime.fromtimestamp(GENESIS + 60, UTC).isoformat()[:19])


def test_a_liquidation_that_no_recorded_price_announced_is_named(history: History, session: Session) -> None:
    history.fold(2, long(1, 60), long(2, 60))
    price(session, 3, "999")
    history.fold(4, liquidated(1))
    history.fold(6, liquidated(2))
    (only,) = replayed(session, 5, 6)["liquidated_unforeseen"]
    assert (only["position"], only["place"]["block_number"]) == ("2", 6)


def test_a_price_of_the_very_second_comes_before_its_block(history: History, session: Session) -> None:
    history.fold(2, long(1, 60))
    price(session, 4, "930")
    history.fold(4, liquidated(1))
    report = replayed(session, 2, 4)
    assert crossings(report) == [("1", 4, "930", "23.95", "liquidated", 4)]
    assert report["liquidated_unforeseen"] == []


def test_a_wide_price_is_uncertain_and_funding_counts(history: History, session: Session) -> None:
    history.fold(2, long(1, 100), long(2, 110))
    price(session, 3, "914.5", conf="1")
    history.fold(4, funding_settled(1, GENESIS + 48, long_funding_index=20 * WAD))
    price(session, 5, "914.5")
    history.fold(6, closed(1))
    first, second = replayed(session, 2, 6)["would_have_been_liquidated"]
    assert (first["position"], first["verdict"], first["status"]) == ("1", "uncertain", "closed")
    assert Decimal(first["shortfall"]) < 0
    assert (second["position"], second["verdict"], second["price"]) == ("2", "certain", "914.5")


def test_a_key_that_is_opened_again_can_cross_again(history: History, session: Session) -> None:
    history.fold(2, long(1, 60))
    price(session, 3, "940")
    history.fold(4, liquidated(1))
    history.fold(5, long(1, 60))
    price(session, 6, "930")
    history.fold(7, closed(1))
    report = replayed(session, 2, 7)
    assert [(one[1], one[4]) for one in crossings(report)] == [(2, "liquidated"), (5, "closed")]


def test_a_range_that_nothing_is_known_of(history: History, session: Session) -> None:
    with pytest.raises(NothingToReplay, match="none has a stored event"):
        replay(session, our_protocol(), rules_from(OracleSettings(), CHAIN_ID), from_block=100, to_block=200)


def test_the_verb(history: History, session: Session, database_url: str, tmp_path: Path) -> None:
    history.fold(2, long(1, 60))
    price(session, 3, "940")
    history.fold(4, closed(1))
    session.commit()
    artifact("perp")
    addresses = {"address": EXCHANGE, "block_number": 0}
    (tmp_path / "deployment.json").write_text(
        json.dumps({"chain_id": CHAIN_ID, "perp": addresses, "pyth": {"address": PYTH}})
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": database_url,
        "CHAIN__CHAIN_ID": str(CHAIN_ID),
        "CHAIN__PROTOCOL_FILES": json.dumps([str(PROTOCOL_FILE)]),
        "CHAIN__DEPLOYMENT_FILE": str(tmp_path / "deployment.json"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, str(ROOT / "manage.py"), "replay", *arguments)
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    chosen = ("--protocol", "watchkeeper_perps", "--from", "2", "--to", "4")
    done = run(*chosen, "--json")
    assert done.returncode == 0, done.stderr
    assert crossings(json.loads(done.stdout)) == [("1", 2, "940", "14.1", "closed", 4)]
    assert "1 positions would have been liquidated" in run(*chosen).stdout
    unknown = run("--protocol", "another", "--from", "2", "--to", "4")
    assert (unknown.returncode, unknown.stderr) == (1, "This deployment follows no perps protocol 'another'.\n")
    assert run("--protocol", "watchkeeper_perps", "--from", "9", "--to", "3").returncode == 2

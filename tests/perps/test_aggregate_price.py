"""A protocol whose file says that its price is the aggregate: judged by that, or by nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.chain.jobs import INDEX_HEAD
from app.chain.services.protocols import load_protocol
from app.core.clock import utc_now
from app.core.errors import AppError
from app.oracle.errors import JumpUnconfirmed, PriceMissing
from app.oracle.queries.aggregates import add_aggregate
from app.oracle.services.read import get_around
from app.oracle.types.prices import Action
from app.oracle.types.sources import Aggregate, AggregateState, NoPrice
from app.perps.jobs import SCAN_LIQUIDATIONS
from app.perps.queries.markets import list_markets
from app.perps.services.protocols import mistakes
from app.perps.services.updates import MarketUpdate, fetch_updates
from contracts.build import artifact
from contracts.markets import WAD
from tests.perps.history import PROTOCOL_FILE
from tests.perps.test_keeper import Reconfigure
from tests.perps.venue import BTC, Venue

pytestmark = pytest.mark.chain

NAME = "by_aggregate"
TICKERS = [{"symbol": "BTC/USD", "exchange": "kraken", "market": "XXBTZUSD"}]


@pytest.fixture
def aggregated(venue: Venue, reconfigure: Reconfigure, tmp_path: Path) -> Venue:
    """Our exchange by another file: its price is the aggregate, and nobody keeps it."""
    artifact("perp")
    text = PROTOCOL_FILE.read_text().replace("../../contracts", str(PROTOCOL_FILE.parents[2] / "contracts"))
    text = re.sub(r"(?m)^price = {.*$", 'price = { source = "aggregate" }', text)
    text = re.sub(r"(?ms)^\[perps\.(keeper|client[.\w]*)\]\n.*?(?=^#|^\[)", "", text)
    file = tmp_path / f"{NAME}.toml"
    file.write_text(text)
    reconfigure(chain={"protocol_files": (str(file),)}, oracle={"sources": {"tickers": TICKERS}})
    return venue


def come_to(venue: Venue, price: int | None, reason: NoPrice | None = None, *, age_seconds: float = 0) -> None:
    """What the sources of BTC/USD came to."""
    wad = None if price is None else price * WAD
    with Session(venue.engine) as session:
        add_aggregate(
            session,
            Aggregate(
                symbol="BTC/USD",
                as_of=utc_now() - timedelta(seconds=age_seconds),
                price_wad=wad,
                confidence_wad=None if wad is None else 10 * WAD,
                reason=reason,
                sources=(),
                state=AggregateState(ema_wad=wad),
            ),
        )
        session.commit()


def test_positions_are_judged_by_the_aggregate_and_by_nothing_else(aggregated: Venue) -> None:
    long = aggregated.open(True, "1", "1500")
    aggregated.run(INDEX_HEAD, params={"contract_set": NAME})

    def scanned() -> dict[str, object]:
        found: dict[str, object] = aggregated.run(SCAN_LIQUIDATIONS)[NAME]
        return found

    assert scanned()["unpriced"] == {"1": "missing", "2": "missing", "3": "missing"}
    come_to(aggregated, 59_000, age_seconds=61)
    assert scanned()["unpriced"] == {"1": "missing", "2": "missing", "3": "missing"}
    come_to(aggregated, 60_000)
    assert (scanned()["markets"], scanned()["attempts"]) == (1, [])
    come_to(aggregated, None, NoPrice.JUMP_UNCONFIRMED)
    assert scanned()["unpriced"] == {"1": "jump_unconfirmed", "2": "missing", "3": "missing"}
    come_to(aggregated, None, NoPrice.TOO_FEW_SOURCES)
    assert scanned()["unpriced"] == {"1": "missing", "2": "missing", "3": "missing"}
    come_to(aggregated, 59_000)
    result = scanned()
    assert (result["markets"], result["fates"]) == (1, {"seen": 1})
    assert [one["position"] for one in result["attempts"]] == [long]  # type: ignore[attr-defined]


def test_its_transactions_carry_no_data_and_pay_for_none(aggregated: Venue) -> None:
    aggregated.run(INDEX_HEAD, params={"contract_set": NAME})
    parts = aggregated.runtime.perps
    (protocol,) = parts.protocols

    def update() -> MarketUpdate | AppError:
        with Session(aggregated.engine) as session:
            market = next(one for one in list_markets(session, NAME) if one.market_id == BTC)
            around = get_around(session, parts.rules, utc_now())
        found = fetch_updates(
            protocol,
            [market],
            action=Action.LIQUIDATE,
            around=around,
            parts=parts,
            sending=parts.get_sending(session),
            clock=utc_now,
        )
        return found[BTC]

    assert isinstance(update(), PriceMissing)
    come_to(aggregated, None, NoPrice.JUMP_UNCONFIRMED)
    assert isinstance(update(), JumpUnconfirmed)
    come_to(aggregated, 59_000)
    found = update()
    assert isinstance(found, MarketUpdate)
    assert (found.update.data, found.fee_wei, found.view.price_wad) == ((), 0, 59_000 * WAD)


@pytest.mark.parametrize(
    ("price", "sentence"),
    [
        ('{ source = "aggregate", feed = "pyth_price_id" }', "`contract` and `feed` belong to the source `pyth`"),
        ('{ source = "pyth", feed = "pyth_price_id" }', "`contract` and `feed` belong to the source `pyth`"),
        ('{ source = "pyth" }', "`contract` and `feed` belong to the source `pyth`"),
        ('{ source = "aggregate" }', "perps.keeper.liquidate: nothing is known as update_data."),
        ('{ source = "aggregate" }', "perps.client.open: without a price of Pyth's there is no update data"),
    ],
)
def test_a_file_that_cannot_mean_it_is_told(price: str, sentence: str, tmp_path: Path) -> None:
    artifact("perp")
    text = PROTOCOL_FILE.read_text().replace("../../contracts", str(PROTOCOL_FILE.parents[2] / "contracts"))
    file = tmp_path / f"{NAME}.toml"
    file.write_text(re.sub(r"(?m)^price = {.*$", f"price = {price}", text))
    values = {
        "chain_id": "1",
        "perp.address": "0x" + "11" * 20,
        "perp.block_number": "0",
        "pyth.address": "0x" + "22" * 20,
    }
    assert sentence in " ".join(mistakes(load_protocol(file, values)))

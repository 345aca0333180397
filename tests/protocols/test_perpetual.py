"""Perpetual v2 by its protocol file, on its own contracts: the stored events add up to what the contracts say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.event_views import apply_views
from app.chain.services.protocols import load_protocol
from app.chain.services.rehearsal import read
from app.chain.services.stored_events import read_events
from app.core.clock import utc_now
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.services.protocol_files import check
from app.perps.maths.units import wad_text
from app.perps.services.accounts import judge_accounts
from app.perps.services.health import check_health
from app.perps.services.projection import PerpsProjection
from app.perps.services.protocols import perps_protocols
from app.perps.services.results import show_checked
from app.perps.types.accounts import AccountHealth
from config.groups import ChainSettings
from config.settings import Settings
from tasks.runtime import Runtime
from tests.chain.conftest import CHAIN_ID, Indexer
from tests.conftest import ROOT
from tests.protocols.deployed import Ground
from tests.protocols.npm import PERPETUAL, UNISWAP
from tests.protocols.perpetual import WAD, Perpetual

pytestmark = pytest.mark.chain
FILE = ROOT / "config/protocols/perpetual_v2.toml"
CONTRACTS = {
    "clearing_house": "ClearingHouse",
    "exchange": "Exchange",
    "account_balance": "AccountBalance",
    "vault": "Vault",
    "market_registry": "MarketRegistry",
    "insurance_fund": "InsuranceFund",
}
HOUR = 3600
TABLES = ("perps_markets", "perps_positions", "perps_funding_rates", "perps_liquidations", "perps_pnl_entries")


@pytest.fixture
def ground(anvil: EmbeddedAnvil) -> Iterator[Ground]:
    made = Ground(anvil.url)
    yield made
    made.close()


def values(perp: Perpetual) -> dict[str, str]:
    """What fills the file's placeholders."""
    places = (perp.house, perp.exchange, perp.accounts, perp.vault, perp.markets, perp.insurance)
    return {f"perp_v2.{name}": place.address for name, place in zip(CONTRACTS, places, strict=True)} | {
        "perp_v2.chain_id": str(CHAIN_ID),
        "perp_v2.start_block": str(perp.first_block),
        "perp_v2.settlement_token": perp.usd.address,
    }


@pytest.mark.parametrize("name", [*CONTRACTS, "pool"])
def test_the_abis_beside_the_file_are_the_packages(name: str) -> None:
    found = UNISWAP.artifact("UniswapV3Pool") if name == "pool" else PERPETUAL.artifact(CONTRACTS[name])
    file = "uniswap_v3_pool" if name == "pool" else f"perpetual_v2_{name}"
    written = json.loads((ROOT / f"config/protocols/abi/{file}.json").read_text())
    assert written == [entry for entry in found["abi"] if entry["type"] == "event"]


def played(perp: Perpetual) -> tuple[int, int]:
    """Positions open, funding accrues, a part is liquidated, a position closes; the trader's size before that part was
    taken, and the block it was taken in.
    """
    ground = perp.ground
    trader, other, liquidator = ground.trader, ground.other, ground.liquidator
    for who, amount in ((trader, 1_000), (other, 10_000), (liquidator, 100_000)):
        perp.deposit(who, amount)
    perp.open(trader, 80 * WAD)
    perp.open(other, -30 * WAD)
    ground.later(HOUR)
    perp.index_price(97)
    ground.later(HOUR)
    perp.open(other, 10 * WAD)
    before = perp.size(trader)
    for price in range(96, 60, -1):
        perp.index_price(price)
        ground.later(HOUR)
        value = perp.house.functions.getAccountValue(trader).call()
        if value < perp.accounts.functions.getMarginRequirementForLiquidation(trader).call():
            break
    block = perp.liquidate(trader, liquidator)["blockNumber"]
    assert 0 < perp.size(trader) < before, "a part of it"
    perp.index_price(100)  # a trade far from the index is refused
    perp.close(other)
    return before, block


def test_what_is_stored_adds_up_to_what_the_contracts_say(ground: Ground, engine: Engine, anvil: EmbeddedAnvil) -> None:
    perp = Perpetual(ground)
    assert check(FILE, values(perp), anvil.url) == []
    protocol = load_protocol(FILE, values(perp))
    trader, other, liquidator = ground.trader, ground.other, ground.liquidator
    before, _ = played(perp)
    node = Provider(anvil.url, chain_id=CHAIN_ID)
    indexer = Indexer(engine, Providers([node]), protocol.contract_set)
    assert indexer.run().malformed == 0
    with Session(engine) as session:
        apply_views(session, protocol)
        session.commit()

    stored = indexer.rows("SELECT block_number, log_index FROM chain_events ORDER BY 1, 2")
    filled = values(perp)
    del filled["perp_v2.settlement_token"]  # is named, and not followed
    places = [*(value for value in filled.values() if value.startswith("0x")), perp.pool.address]
    logs = ground.w3.eth.get_logs({"address": places, "fromBlock": perp.first_block, "toBlock": "latest"})
    listed = perp.markets.events.PoolAdded().get_logs(from_block=0)[0]["blockNumber"]
    # The pool's own beginning, before the market was listed, is not the protocol's; nor is what precedes the start.
    ours = [log for log in logs if log["address"] != perp.pool.address or log["blockNumber"] >= listed]
    assert stored == [(log["blockNumber"], log["logIndex"]) for log in ours]

    for who in (trader, other, liquidator):
        (sums,) = one_of(
            engine,
            "SELECT coalesce(sum(exchangedPositionSize), 0), (array_agg(openNotional ORDER BY block_number DESC,"
            " log_index DESC))[1] FROM ev_perpetual_v2_PositionChanged WHERE trader = :who",
            who=bytes.fromhex(who[2:]),
        )
        assert (int(sums[0]), int(sums[1])) == (perp.size(who), perp.open_notional(who))
    (liquidated,) = one_of(engine, "SELECT trader, positionSize, liquidator FROM ev_perpetual_v2_PositionLiquidated")
    assert ["0x" + bytes(liquidated[0]).hex(), int(liquidated[1]), "0x" + bytes(liquidated[2]).hex()] == [
        trader.lower(),
        before - perp.size(trader),
        liquidator.lower(),
    ]
    (paid,) = one_of(
        engine,
        "SELECT count(*), min(f.block_number) FROM ev_perpetual_v2_FundingPaymentSettled f WHERE trader = :who",
        who=bytes.fromhex(trader[2:]),
    )
    assert paid[0] > 0
    # What an account owes beside its positions is what its events realized: PnL, funding, fees.
    (realized,) = one_of(
        engine,
        "SELECT sum(amount) FROM ev_perpetual_v2_PnlRealized WHERE trader = :who",
        who=bytes.fromhex(trader[2:]),
    )
    assert int(realized[0]) == perp.accounts.functions.getPnlAndPendingFee(trader).call()[0]
    (swaps,) = one_of(engine, "SELECT count(*) FROM ev_perpetual_v2_swap")
    assert swaps[0] == 4  # three trades and a close; a liquidation trades with nobody
    node.close()


def one_of(engine: Engine, statement: str, **values: Any) -> list[Any]:
    """The rows of a SELECT."""
    with engine.connect() as connection:
        return list(connection.execute(text(statement), values))


def test_positions_funding_and_liquidations_are_the_contracts_own(
    ground: Ground, engine: Engine, anvil: EmbeddedAnvil
) -> None:
    perp = Perpetual(ground)
    before, block = played(perp)
    (protocol,) = perps_protocols([load_protocol(FILE, values(perp))])
    projection = PerpsProjection(protocol)
    node = Provider(anvil.url, chain_id=CHAIN_ID)
    indexer = Indexer(engine, Providers([node]), protocol.contract_set, projections={protocol.name: [projection]})
    indexer.run()
    node.close()
    base = perp.base.address.lower()
    market = one_of(engine, "SELECT * FROM perps_markets")
    assert [(row.market_id, row.symbol, row.open_fee_rate_wad, row.pyth_price_id) for row in market] == [
        (base, base, WAD // 100, None)
    ]

    positions = {row.key: row for row in one_of(engine, "SELECT * FROM perps_positions")}
    for who in (ground.trader, ground.liquidator):
        row, size = positions[f"{who.lower()}:{base}"], perp.size(who)
        assert (row.status, row.side, int(row.size_wad)) == ("open", "long" if size > 0 else "short", abs(size))
        assert int(row.entry_price_wad) == abs(perp.open_notional(who)) * WAD // abs(size)
    closed = positions[f"{ground.other.lower()}:{base}"]
    assert (closed.status, closed.side, perp.size(ground.other)) == ("closed", "short", 0)
    assert len(positions) == 3
    longs = perp.size(ground.trader) + perp.size(ground.liquidator)
    assert [(int(row.total_long_wad), int(row.total_short_wad)) for row in market] == [(longs, 0)]

    # An account that never took anything out owes what its positions realized, paid in funding and in fees.
    trader = positions[f"{ground.trader.lower()}:{base}"]
    (taken,) = one_of(engine, "SELECT * FROM perps_liquidations")
    owed = perp.accounts.functions.getPnlAndPendingFee(ground.trader).call()[0]
    assert int(trader.realized_pnl_wad - trader.accumulated_funding_wad - taken.fee_wad) == owed
    assert trader.accumulated_funding_wad > 0
    assert (taken.position_key, int(taken.size_wad)) == (trader.key, before - perp.size(ground.trader))
    assert bytes(taken.liquidator).hex() == ground.liquidator[2:].lower()
    said = perp.house.events.PositionLiquidated().get_logs(from_block=0)[0]["args"]
    assert int(taken.fee_wad) == said["liquidationFee"]
    assert int(taken.price_wad) == said["positionNotional"] * WAD // said["positionSize"]

    # The index is the contract's own growth, to a unit a settlement: its events say prices cut to eighteen decimals.
    settled = one_of(
        engine, "SELECT * FROM perps_funding_rates WHERE block_number <= :block ORDER BY block_number", block=block
    )
    info = perp.accounts.functions.getAccountInfo(ground.trader, perp.base.address).call()
    growth = info[2] * WAD // (86_400 << 96)
    assert settled[-1].block_number == block
    assert abs(int(settled[-1].long_index_wad) - growth) <= len(settled)
    assert growth > WAD

    def tables() -> list[list[Any]]:
        return [one_of(engine, f"SELECT * FROM {name} ORDER BY 1, 2, 3") for name in TABLES]  # noqa: S608

    whole = tables()
    with Session(engine) as session:
        projection.rollback(session, CHAIN_ID, block)
        assert session.execute(text("SELECT count(*) FROM perps_liquidations")).scalar_one() == 0
        places = session.execute(
            text("SELECT block_hash, log_index FROM chain_events WHERE block_number >= :block"), {"block": block}
        )
        again = [(bytes(row.block_hash), row.log_index) for row in places]
        projection.apply(session, read_events(session, protocol.contract_set, again))
        session.commit()
    assert tables() == whole


def test_accounts_are_worth_what_the_contracts_say(
    ground: Ground, engine: Engine, anvil: EmbeddedAnvil, tmp_path: Path
) -> None:
    """Balance, equity and margin of accounts, from events and the contract's own price alone; and when it turns."""
    perp = Perpetual(ground)
    played(perp)
    ground.send(perp.vault.functions.withdraw(perp.usd.address, 100 * 10**6), ground.other)
    perp.deposit(ground.trader, 7)
    perp.open(ground.liquidator, WAD // 100)  # settles the funding in the newest block
    (protocol,) = perps_protocols([load_protocol(FILE, values(perp))])
    node = Provider(anvil.url, chain_id=CHAIN_ID)
    projection = PerpsProjection(protocol)
    indexer = Indexer(engine, Providers([node]), protocol.contract_set, projections={protocol.name: [projection]})
    indexer.run()

    def judged(who: str) -> AccountHealth:
        with Session(engine) as session:
            (found,) = judge_accounts(
                session, [protocol], bytes.fromhex(who[2:]), read=lambda call: read(Providers([node]).pinned(), call)
            )
        return found.health

    def contracts(who: str) -> tuple[int, int]:
        value = perp.house.functions.getAccountValue(who).call()
        return value, perp.accounts.functions.getMarginRequirementForLiquidation(who).call()

    def assert_agreement(who: str) -> AccountHealth:
        health, (value, required) = judged(who), contracts(who)
        # The contract says whole units of its settlement token, of 6 decimals, rounded down. Entry prices and indexes
        # are cut to a unit of wad, each of which is worth that times the size.
        settlements = one_of(engine, "SELECT count(*) FROM perps_funding_rates")[0][0]
        slack = (settlements + 2) * (1 + abs(perp.size(who)) // WAD)
        assert -slack <= health.equity_wad - value < 10**12 + slack, who
        assert abs(health.maintenance_wad - required) <= 1, who
        return health

    assert assert_agreement(ground.other).drift_bound is None
    assert assert_agreement(ground.liquidator).unrealized_pnl_wad != 0
    assert not assert_agreement(ground.trader).is_liquidatable
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps({"perp_v2": {name.split(".")[1]: value for name, value in values(perp).items()}}))
    chain = ChainSettings(rpc_urls=(SecretStr(anvil.url),), protocol_files=(str(FILE),), deployment_file=str(file))
    runtime = Runtime(Settings(_env_file=None, database_url=SecretStr(str(engine.url)), chain=chain))
    with Session(engine) as session:
        shown = show_checked(
            check_health(
                session,
                protocol=None,
                position=None,
                account=bytes.fromhex(ground.trader[2:]),
                market=None,
                parts=runtime.perps,
                clock=utc_now,
            )
        )
    runtime.chain.providers.close()
    (account,) = shown["accounts"]
    assert (account["protocol"], account["user_address"]) == ("perpetual_v2", ground.trader.lower())
    assert account["equity"] == wad_text(judged(ground.trader).equity_wad)
    assert [one["health_reason"] for one in shown["positions"]] == ["cross_margin"]
    owed = 0
    for _ in range(40):
        perp.index_price(int(perp.feed.functions.price().call() // WAD) - 1)
        ground.later(HOUR)
        # The market's funding, and not the trader's.
        ground.send(perp.house.functions.settleAllFunding(ground.liquidator), ground.liquidator)
        indexer.run()
        health = assert_agreement(ground.trader)
        owed = max(owed, health.funding_wad)
        value, required = contracts(ground.trader)
        assert health.is_liquidatable is (value < required)
        if value < required:
            break
    else:
        raise AssertionError("it was never liquidatable")
    assert owed > 0, "what grew since the account was settled last is counted"
    perp.liquidate(ground.trader, ground.liquidator)
    indexer.run()
    assert_agreement(ground.trader)
    assert_agreement(ground.liquidator)
    node.close()

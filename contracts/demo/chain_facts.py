"""What the contract itself says at one block: its views there, and the events it wrote up to there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.abi import Event
from contracts.traders import Exchange

Facts = dict[str, int | str]
MARKET_WORDS = ("symbol", "base_token", "quote_token")
MARKET_NUMBERS = (
    "long_open_interest",
    "short_open_interest",
    "long_funding_index",
    "short_funding_index",
    "funding_settled_at",
)
POSITION_NUMBERS = ("size", "collateral", "entry_price", "entry_funding_index")
LIQUIDATION_NUMBERS = (
    "price",
    "size",
    "liquidation_fee",
    "realized_pnl",
    "funding_paid",
    "bad_debt",
    "insurance_paid",
)


def chain_facts(exchange: Exchange, *, block_number: int, block_hash: str) -> Facts:
    """Every market, every position that ever was, every liquidation, and the money, by a name for each value."""
    perp, pinned = exchange.perp, {"blockHash": block_hash}
    names = ("market_count", "position_count", "pool", "insurance")
    counts = dict(zip(names, perp.views([(name, ()) for name in names], pinned), strict=True))
    market_ids = range(1, counts["market_count"] + 1)
    position_ids = range(1, counts["position_count"] + 1)
    markets = perp.views([("markets", (market,)) for market in market_ids], pinned)
    rates = perp.views([("funding_rate_per_second", (market,)) for market in market_ids], pinned)
    positions = perp.views([("positions", (position,)) for position in position_ids], pinned)

    said = _Said(exchange, block_number)
    facts: Facts = {"markets": counts["market_count"], "positions": counts["position_count"]}
    for market_id, market, rate in zip(market_ids, markets, rates, strict=True):
        settlements = sum(event.args["market_id"] == market_id for event in said.settled)
        facts |= {f"market {market_id} funding_rate": rate, f"market {market_id} settlements": settlements}
        facts |= _market(f"market {market_id}", market)
    for position_id, position in zip(position_ids, positions, strict=True):
        ended = said.ends.get(position_id) if position["size"] == 0 else None
        facts |= _ended(ended) if ended else _open(position_id, position)
    for event in said.liquidated:
        facts |= _liquidation(event)
    facts["liquidations"] = len(said.liquidated)
    facts["pool beyond its deposits"] = counts["pool"] - said.deposits("PoolDeposited")
    facts["insurance beyond its deposits"] = counts["insurance"] - said.deposits("InsuranceDeposited")
    return facts


class _Said:
    """The contract's events up to a block."""

    def __init__(self, exchange: Exchange, last: int):
        self._perp = exchange.perp
        self._blocks = {"first": exchange.deployment.perp.block_number, "last": last}
        self.liquidated = self._perp.logs("PositionLiquidated", **self._blocks)
        self.settled = self._perp.logs("FundingSettled", **self._blocks)
        closed = self._perp.logs("PositionClosed", **self._blocks)
        self.ends: dict[int, Event] = {event.args["position_id"]: event for event in (*closed, *self.liquidated)}

    def deposits(self, event: str) -> int:
        """How much was put in by hand."""
        return sum(log.args["amount"] for log in self._perp.logs(event, **self._blocks))


def _market(name: str, market: Mapping[str, Any]) -> Facts:
    facts: Facts = {f"{name} {word}": market[word] for word in (*MARKET_WORDS, *MARKET_NUMBERS)}
    facts |= {f"{name} {parameter}": value for parameter, value in market["parameters"].items()}
    return facts | {f"{name} pyth_price_id": "0x" + market["pyth_price_id"].hex()}


def _open(position_id: int, position: Mapping[str, Any]) -> Facts:
    name = f"position {position_id}"
    facts: Facts = {f"{name} {number}": position[number] for number in POSITION_NUMBERS}
    return facts | {
        f"{name} status": "open",
        f"{name} owner": position["owner"].lower(),
        f"{name} market": position["market_id"],
        f"{name} side": _side(position),
    }


def _ended(event: Event) -> Facts:
    """An ended position is gone from the contract's books; its last event is what the contract says of it."""
    liquidated = event.name == "PositionLiquidated"
    name = f"position {event.args['position_id']}"
    return {
        f"{name} status": "liquidated" if liquidated else "closed",
        f"{name} owner": event.args["owner"].lower(),
        f"{name} market": event.args["market_id"],
        f"{name} side": _side(event.args),
        f"{name} size": event.args["size"],
        f"{name} exit_price": event.args["price" if liquidated else "exit_price"],
        f"{name} realized_pnl": event.args["realized_pnl"],
        f"{name} funding_paid": event.args["funding_paid"],
        f"{name} ended in": event.transaction_hash,
    }


def _liquidation(event: Event) -> Facts:
    name = f"liquidation of {event.args['position_id']}"
    facts: Facts = {f"{name} {number}": event.args[number] for number in LIQUIDATION_NUMBERS}
    return facts | {f"{name} liquidator": event.args["liquidator"].lower(), f"{name} block": event.block_number}


def _side(args: Mapping[str, Any]) -> str:
    return "long" if args["is_long"] else "short"

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
ORDER_NUMBERS = ("size", "collateral", "trigger_price", "execution_fee")
ORDER_KINDS = {1: "limit", 2: "stop_loss", 3: "take_profit"}
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
    """Every market, every position and order that ever was, every liquidation, and the money, by a name for each."""
    perp, pinned = exchange.perp, {"blockHash": block_hash}
    names = ("market_count", "position_count", "order_count", "pool", "insurance", "escrow")
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
        facts |= said.ended(ended) if ended else _open(position_id, position)
    for event in said.placed:
        facts |= said.order(event)
    for event in said.liquidated:
        facts |= _liquidation(event)
    facts["liquidations"] = len(said.liquidated)
    facts |= {"orders": counts["order_count"], "escrow": counts["escrow"]}
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
        self.placed = self._perp.logs("OrderPlaced", **self._blocks)
        self.parts = self._perp.logs("PositionDecreased", **self._blocks)
        order_ends = ("OrderExecuted", "OrderCancelled")
        self.order_ends = {
            event.args["order_id"]: event for name in order_ends for event in self._perp.logs(name, **self._blocks)
        }

    def deposits(self, event: str) -> int:
        """How much was put in by hand."""
        return sum(log.args["amount"] for log in self._perp.logs(event, **self._blocks))

    def ended(self, event: Event) -> Facts:
        """An ended position is gone from the contract's books; its events are what the contract says of it."""
        liquidated = event.name == "PositionLiquidated"
        position_id = event.args["position_id"]
        name = f"position {position_id}"
        parts = [part.args for part in self.parts if part.args["position_id"] == position_id]
        return {
            f"{name} status": "liquidated" if liquidated else "closed",
            f"{name} owner": event.args["owner"].lower(),
            f"{name} market": event.args["market_id"],
            f"{name} side": _side(event.args),
            f"{name} size": event.args["size"],
            f"{name} exit_price": event.args["price" if liquidated else "exit_price"],
            f"{name} realized_pnl": sum(part["realized_pnl"] for part in (event.args, *parts)),
            f"{name} funding_paid": sum(part["funding_paid"] for part in (event.args, *parts)),
            f"{name} ended in": event.transaction_hash,
        }

    def order(self, placed: Event) -> Facts:
        """An order by the event that placed it and the one that ended it, if one has."""
        args, end = placed.args, self.order_ends.get(placed.args["order_id"])
        name = f"order {args['order_id']}"
        facts: Facts = {f"{name} {number}": args[number] for number in ORDER_NUMBERS} | {
            f"{name} status": "open",
            f"{name} kind": ORDER_KINDS[args["kind"]],
            f"{name} owner": args["owner"].lower(),
            f"{name} market": args["market_id"],
            f"{name} side": _side(args),
            f"{name} position": args["position_id"],
        }
        if end is None:
            return facts
        if end.name == "OrderCancelled":
            return facts | {f"{name} status": "cancelled"}
        return facts | {
            f"{name} status": "executed",
            f"{name} position": end.args["position_id"],
            f"{name} price": end.args["price"],
            f"{name} executed_size": end.args["size"],
            f"{name} keeper": end.args["keeper"].lower(),
            f"{name} ended in": end.transaction_hash,
        }


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


def _liquidation(event: Event) -> Facts:
    name = f"liquidation of {event.args['position_id']}"
    facts: Facts = {f"{name} {number}": event.args[number] for number in LIQUIDATION_NUMBERS}
    return facts | {f"{name} liquidator": event.args["liquidator"].lower(), f"{name} block": event.block_number}


def _side(args: Mapping[str, Any]) -> str:
    return "long" if args["is_long"] else "short"

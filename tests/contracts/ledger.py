"""An indexer in small: folds the exchange's events, and recomputes every amount in them with exact fractions.

It shares no code with the contract or the product. It asserts as it goes, so folding a history is checking it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from contracts.markets import WAD, MarketParameters
from tests.contracts.exchange import LIMIT, Event


@dataclass
class FoldedPosition:
    owner: str
    market_id: int
    is_long: bool
    size: int
    collateral: int
    entry_price: int
    entry_funding_index: int

    def pnl(self, price: int) -> int:
        sign = 1 if self.is_long else -1
        return floor(Fraction(sign * self.size * (price - self.entry_price), WAD))


@dataclass
class FoldedMarket:
    parameters: MarketParameters
    interest: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    index: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def funding(self, position: FoldedPosition) -> int:
        return ceil(Fraction(position.size * (self.index[position.is_long] - position.entry_funding_index), WAD))

    def fraction(self, position: FoldedPosition, price: int, rate: int) -> Fraction:
        return Fraction(position.size * price * rate, WAD * WAD)


@dataclass
class Ledger:
    """All that the events tell."""

    markets: dict[int, FoldedMarket] = field(default_factory=dict)
    positions: dict[int, FoldedPosition] = field(default_factory=dict)
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    pool: int = 0
    insurance: int = 0

    @classmethod
    def folded(cls, events: Iterable[Event]) -> Ledger:
        """Fold a whole history."""
        ledger = cls()
        for event in events:
            getattr(ledger, f"_on_{event.name}")(event.args)
        return ledger

    @property
    def total_collateral(self) -> int:
        return sum(position.collateral for position in self.positions.values())

    @property
    def escrow(self) -> int:
        return sum(order["collateral"] + order["execution_fee"] for order in self.orders.values())

    def _on_MarketAdded(self, a: dict[str, Any]) -> None:
        self.markets[a["market_id"]] = FoldedMarket(MarketParameters(*(a[name] for name in MarketParameters._fields)))

    def _on_MarketUpdated(self, a: dict[str, Any]) -> None:
        self.markets[a["market_id"]].parameters = MarketParameters(*(a[name] for name in MarketParameters._fields))

    def _on_PauseChanged(self, a: dict[str, Any]) -> None:
        pass

    def _on_PoolDeposited(self, a: dict[str, Any]) -> None:
        self.pool += a["amount"]

    def _on_InsuranceDeposited(self, a: dict[str, Any]) -> None:
        self.insurance += a["amount"]

    def _on_FundingSettled(self, a: dict[str, Any]) -> None:
        market = self.markets[a["market_id"]]
        longs, shorts = market.interest[True], market.interest[False]
        assert (a["long_open_interest"], a["short_open_interest"]) == (longs, shorts)
        rate = 0
        if longs and shorts:
            factor, most = market.parameters.funding_factor_per_second, market.parameters.max_funding_rate_per_second
            rate = min(floor(Fraction(factor * abs(longs - shorts), longs + shorts)), most)
            payers_long = longs > shorts
            paid = ceil(Fraction(rate * a["elapsed_seconds"] * a["price"], WAD))
            market.index[payers_long] += paid
            market.index[not payers_long] -= floor(Fraction(paid * max(longs, shorts), min(longs, shorts)))
            rate = rate if payers_long else -rate
        assert a["rate_per_second"] == rate
        assert (a["long_funding_index"], a["short_funding_index"]) == (market.index[True], market.index[False])

    def _on_PositionOpened(self, a: dict[str, Any]) -> None:
        names = ("owner", "market_id", "is_long", "size", "collateral", "entry_price", "entry_funding_index")
        position = FoldedPosition(**{name: a[name] for name in names})
        market = self.markets[a["market_id"]]
        assert a["entry_funding_index"] == market.index[position.is_long]
        assert a["fee"] == ceil(market.fraction(position, position.entry_price, market.parameters.open_fee_rate))
        assert Fraction(position.collateral) * market.parameters.max_leverage >= position.size * position.entry_price
        self.positions[a["position_id"]] = position
        market.interest[position.is_long] += position.size
        self.pool += a["fee"]

    def _on_CollateralChanged(self, a: dict[str, Any]) -> None:
        position = self.positions[a["position_id"]]
        position.collateral += a["delta"]
        assert a["collateral"] == position.collateral >= 0

    def _on_PositionClosed(self, a: dict[str, Any]) -> None:
        position, market = self._take_out(a, a["exit_price"])
        assert a["fee"] == ceil(market.fraction(position, a["exit_price"], market.parameters.close_fee_rate))
        payout = position.collateral + a["realized_pnl"] - a["funding_paid"] - a["fee"]
        assert a["payout"] == payout >= 0
        self.pool += position.collateral - payout

    def _on_PositionDecreased(self, a: dict[str, Any]) -> None:
        # As if the part had been a position of its own.
        whole, market = self.positions[a["position_id"]], self.markets[a["market_id"]]
        part = replace(whole, size=a["size"], collateral=floor(Fraction(whole.collateral * a["size"], whole.size)))
        assert 0 < part.size < whole.size
        assert (a["collateral"], a["realized_pnl"]) == (part.collateral, part.pnl(a["exit_price"]))
        assert a["funding_paid"] == market.funding(part)
        assert a["fee"] == ceil(market.fraction(part, a["exit_price"], market.parameters.close_fee_rate))
        assert a["payout"] == part.collateral + a["realized_pnl"] - a["funding_paid"] - a["fee"] >= 0
        whole.size -= part.size
        whole.collateral -= part.collateral
        market.interest[whole.is_long] -= part.size
        self.pool += part.collateral - a["payout"]

    def _on_PositionIncreased(self, a: dict[str, Any]) -> None:
        # As if the addition had been a position of its own and the two had become one.
        position, market = self.positions[a["position_id"]], self.markets[a["market_id"]]
        added = a["size"] - position.size
        assert added > 0
        assert a["fee"] == ceil(Fraction(added * a["price"] * market.parameters.open_fee_rate, WAD * WAD))
        against = ceil if position.is_long else floor
        price = Fraction(position.size * position.entry_price + added * a["price"], a["size"])
        index = position.size * position.entry_funding_index + added * market.index[position.is_long]
        assert a["entry_price"] == against(price)
        assert a["entry_funding_index"] == floor(Fraction(index, a["size"]))
        market.interest[position.is_long] += added
        self.pool += a["fee"]
        for name in ("size", "collateral", "entry_price", "entry_funding_index"):
            setattr(position, name, a[name])
        equity = position.collateral + position.pnl(a["price"]) - market.funding(position)
        assert Fraction(equity) * market.parameters.max_leverage >= position.size * a["price"]

    def _on_OrderPlaced(self, a: dict[str, Any]) -> None:
        self.orders[a["order_id"]] = a

    def _on_OrderCancelled(self, a: dict[str, Any]) -> None:
        order = self.orders.pop(a["order_id"])
        assert (order["owner"], order["market_id"]) == (a["owner"], a["market_id"])

    def _on_OrderExecuted(self, a: dict[str, Any]) -> None:
        order = self.orders.pop(a["order_id"])
        assert (order["owner"], order["market_id"]) == (a["owner"], a["market_id"])
        assert order["execution_fee"] == a["execution_fee"]
        buys = (order["kind"] == LIMIT) == order["is_long"]
        assert a["price"] <= order["acceptable_price"] if buys else a["price"] >= order["acceptable_price"]

    def _on_PositionLiquidated(self, a: dict[str, Any]) -> None:
        position, market = self._take_out(a, a["price"])
        p = market.parameters
        equity = position.collateral + a["realized_pnl"] - a["funding_paid"]
        assert equity < market.fraction(position, a["price"], p.maintenance_margin_rate + p.liquidation_fee_rate)
        bonus = floor(market.fraction(position, a["price"], p.liquidation_fee_rate))
        from_equity = min(bonus, max(equity, 0))
        from_insurance = min(bonus - from_equity, self.insurance)
        assert a["liquidation_fee"] == from_equity + from_insurance
        assert a["returned_to_owner"] == max(equity, 0) - from_equity
        assert a["bad_debt"] == max(-equity, 0)
        covered = min(a["bad_debt"], self.insurance - from_insurance)
        assert a["insurance_paid"] == from_insurance + covered
        self.insurance -= a["insurance_paid"]
        self.pool += position.collateral - max(equity, 0) + covered
        assert self.insurance >= 0

    def _take_out(self, a: dict[str, Any], price: int) -> tuple[FoldedPosition, FoldedMarket]:
        position = self.positions.pop(a["position_id"])
        market = self.markets[position.market_id]
        named = (position.owner, position.market_id, position.is_long, position.size)
        assert named == (a["owner"], a["market_id"], a["is_long"], a["size"])
        assert a["realized_pnl"] == position.pnl(price)
        assert a["funding_paid"] == market.funding(position)
        market.interest[position.is_long] -= position.size
        return position, market

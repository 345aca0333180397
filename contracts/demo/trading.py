"""The plan carried out on the exchange: what the traders do, and what the market does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.demo.plan import Fate, Order, Plan, moved, trigger_wad
from contracts.markets import WAD
from contracts.traders import STOP_LOSS, TAKE_PROFIT, Exchange, Trader

PURSE_WAD = 1_000_000 * WAD
EXECUTION_FEE_WAD = 25 * WAD


@dataclass(frozen=True)
class Opened:
    """An order that was carried out."""

    order: Order
    position_id: int
    size_wad: int
    entry_price_wad: int


@dataclass
class Trading:
    """A plan in progress; each step waits until all its transactions are mined, and raises TradeFailed if one fails."""

    plan: Plan
    exchange: Exchange
    traders: Sequence[Trader]
    opened: list[Opened] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)

    def open(self) -> None:
        """Give every trader money, then open all the plan's positions."""
        self.exchange.mined([digest for trader in self.traders for digest in trader.fund(PURSE_WAD)])
        hashes = [
            self.traders[order.trader].open(
                order.symbol,
                is_long=order.is_long,
                leverage_wad=order.leverage_wad,
                collateral_wad=order.collateral_wad,
            )
            for order in self.plan.orders
        ]
        events = [event for event in self.exchange.mined(hashes) if event.name == "PositionOpened"]
        self.opened = [
            Opened(order, event.args["position_id"], event.args["size"], event.args["entry_price"])
            for order, event in zip(self.plan.orders, events, strict=True)
        ]

    def place_orders(self) -> None:
        """Have a half of some positions closed by a stop-loss and all of others by a take-profit."""
        hashes = [self._place(each) for each in self.opened if each.order.fate in (Fate.STOPS, Fate.GAINS)]
        events = self.exchange.mined(hashes)
        self.placed = [event.args["order_id"] for event in events if event.name == "OrderPlaced"]

    def _place(self, each: Opened) -> str:
        order, stops = each.order, each.order.fate is Fate.STOPS
        return self.traders[order.trader].place_closing(
            STOP_LOSS if stops else TAKE_PROFIT,
            each.position_id,
            is_long=order.is_long,
            size_wad=each.size_wad // 2 if stops else each.size_wad,
            trigger_wad=trigger_wad(each.entry_price_wad, self.plan.moves_bps[order.symbol]),
            fee_wad=EXECUTION_FEE_WAD,
        )

    def change(self) -> None:
        """Some put a tenth more collateral in, some take as much out, some close."""
        self.exchange.mined([digest for each in self.opened for digest in self._change(each)])

    def _change(self, each: Opened) -> list[str]:
        order, trader = each.order, self.traders[each.order.trader]
        if order.fate is Fate.CLOSES:
            return [trader.close(order.symbol, each.position_id, is_long=order.is_long)]
        if order.fate in (Fate.ADDS, Fate.TAKES):
            delta_wad = order.collateral_wad // 10 * (1 if order.fate is Fate.ADDS else -1)
            return [trader.change_collateral(order.symbol, each.position_id, delta_wad)]
        return []

    def move_prices(self) -> None:
        """Let every market's price jump, so that the risky positions are under water."""
        moves = self.plan.moves_bps
        before = self.exchange.prices.order({symbol: {} for symbol in moves})
        after = {symbol: moved(before[symbol], move) for symbol, move in moves.items()}
        self.exchange.prices.order({symbol: {"price": str(price)} for symbol, price in after.items()})

    def position_ids(self, *fates: Fate) -> list[int]:
        """The positions the plan meant for one of these, in the order they were opened in."""
        return [each.position_id for each in self.opened if each.order.fate in fates]

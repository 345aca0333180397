"""The demo's traders on a node and a price server of their own; what the keeper would do is done by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.demo.plan import Plan, make_plan
from contracts.demo.trading import Trading
from contracts.deploy import deploy
from contracts.feeds import FEEDS
from contracts.node import Node
from contracts.prices import Prices
from contracts.traders import UPDATE_FEE_WEI, Exchange, traders

PRICE_IDS = {feed.symbol: feed.price_id for feed in FEEDS}
TRADERS = 4
Positions = dict[int, dict[str, Any]]


def plan_of(seed: int) -> Plan:
    """The demo's plan, for fewer traders."""
    return make_plan(seed, traders=TRADERS, majors=("BTC-USD", "ETH-USD"), minors=("SOL-USD",))


@dataclass
class History:
    """A plan played to its end, and the contract's positions on the way."""

    trading: Trading
    opened: Positions = field(default_factory=dict)
    changed: Positions = field(default_factory=dict)
    endangered_before: list[int] = field(default_factory=list)
    endangered_after: list[int] = field(default_factory=list)

    @classmethod
    def played(cls, node_url: str, prices_url: str, seed: int = 1) -> History:
        """The whole play on a fresh exchange; the node's blocks must keep to the wall clock, as prices do."""
        exchange = Exchange.at(Node(node_url), Prices(prices_url), deploy(node_url))
        history = cls(Trading(plan_of(seed), exchange, traders(exchange, TRADERS)))
        history._play()
        return history

    def _play(self) -> None:
        self.trading.open()
        self.trading.place_orders()
        self.opened = self._positions()
        self.trading.change()
        self.changed = self._positions()
        self.endangered_before = self._endangered()
        self.trading.move_prices()
        self._settle()
        self.endangered_after = self._endangered()
        self._liquidate(self.endangered_after)
        self._execute()

    def _positions(self) -> Positions:
        perp = self.trading.exchange.perp
        every_id = range(1, perp.view("position_count") + 1)
        return dict(zip(every_id, perp.views([("positions", (each,)) for each in every_id]), strict=True))

    def _endangered(self) -> list[int]:
        """What the contract would let anyone liquidate at its newest price."""
        still = [each for each, position in self._positions().items() if position["size"]]
        answers = self.trading.exchange.perp.views([("is_liquidatable", (each,)) for each in still])
        return [each for each, answer in zip(still, answers, strict=True) if answer]

    def _settle(self) -> None:
        """Carry a new price to every market; the contract passes over one of a second it has seen."""
        exchange, sender = self.trading.exchange, self.trading.traders[0].address
        seen = {symbol: exchange.prices.latest(price_id).published_at for symbol, price_id in PRICE_IDS.items()}
        hashes = []
        for symbol, market_id in exchange.deployment.markets.items():
            while (update := exchange.prices.latest(PRICE_IDS[symbol])).published_at == seen[symbol]:
                time.sleep(0.05)
            hashes.append(
                exchange.perp.send(sender, "settle_funding", market_id, [update.data], value_wei=UPDATE_FEE_WEI)
            )
        exchange.mined(hashes)

    def _execute(self) -> None:
        perp, sender = self.trading.exchange.perp, self.trading.traders[0].address
        hashes = [perp.send(sender, "execute_order", each, []) for each in self.trading.placed]
        self.trading.exchange.mined(hashes)

    def _liquidate(self, position_ids: Sequence[int]) -> None:
        perp, sender = self.trading.exchange.perp, self.trading.traders[0].address
        self.trading.exchange.mined([perp.send(sender, "liquidate", each, []) for each in position_ids])

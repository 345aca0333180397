"""Traders on the local exchange: accounts with play money that open, change and close positions at the feed's price."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.abi import Event
from contracts.deployment import Deployment
from contracts.feeds import FEEDS
from contracts.node import Contract, Node
from contracts.prices import Prices

NO_LIMIT_UP = 2**256 - 1
NO_LIMIT_DOWN = 0
STOP_LOSS, TAKE_PROFIT = 2, 3
"""The contract's kinds of closing orders."""

UPDATE_FEE_WEI = 10
"""More than any update costs; the exchange gives back what is over."""

MINED_SECONDS = 30.0
POLL_SECONDS = 0.1
_PRICE_IDS = {feed.symbol: feed.price_id for feed in FEEDS}


class TradeFailed(RuntimeError):
    """A transaction of a trader's failed, or was not mined in time."""


@dataclass(frozen=True)
class Exchange:
    """The deployed exchange as its traders see it."""

    node: Node
    prices: Prices
    deployment: Deployment
    token: Contract
    perp: Contract

    @classmethod
    def at(cls, node: Node, prices: Prices, deployment: Deployment) -> Exchange:
        """The exchange of a deployment."""
        token = Contract.named("dev_token", node, deployment.token.address)
        return cls(node, prices, deployment, token, Contract.named("perp", node, deployment.perp.address))

    def mined(self, hashes: Sequence[str], seconds: float = MINED_SECONDS) -> list[Event]:
        """Wait until all these are mined; the exchange's events in them, one transaction after the other.

        Raises TradeFailed for the first that failed, or when the time is up.
        """
        deadline = time.monotonic() + seconds
        while True:
            receipts = self.node.batch([("eth_getTransactionReceipt", (digest,)) for digest in hashes])
            if None not in receipts:
                break
            if time.monotonic() > deadline:
                raise TradeFailed(f"{receipts.count(None)} transactions were not mined within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        failed = [receipt["transactionHash"] for receipt in receipts if int(receipt["status"], 16) != 1]
        if failed:
            raise TradeFailed(f"reverted: {', '.join(failed)}")
        return self.perp.events(log for receipt in receipts for log in receipt["logs"])


@dataclass(frozen=True)
class Trader:
    """One account. Every method sends at once and returns transaction hashes; `Exchange.mined` waits for them."""

    exchange: Exchange
    address: str

    def fund(self, amount_wad: int) -> list[str]:
        """Mint play money, and let the exchange take it."""
        token, perp = self.exchange.token, self.exchange.perp
        minted = token.send(self.address, "mint", self.address, amount_wad)
        return [minted, token.send(self.address, "approve", perp.address, amount_wad)]

    def open(self, symbol: str, *, is_long: bool, leverage_wad: int, collateral_wad: int) -> str:
        """Open a position of `leverage` times the collateral at the newest price; the fee comes out of the collateral.

        The size is rounded down.
        """
        update = self.exchange.prices.latest(_PRICE_IDS[symbol])
        size_wad = collateral_wad * leverage_wad // update.price_wad
        limit = NO_LIMIT_UP if is_long else NO_LIMIT_DOWN
        market_id = self.exchange.deployment.markets[symbol]
        arguments = (market_id, is_long, size_wad, collateral_wad, limit, [update.data])
        return self.exchange.perp.send(self.address, "open", *arguments, value_wei=UPDATE_FEE_WEI)

    def change_collateral(self, symbol: str, position_id: int, delta_wad: int) -> str:
        """Add collateral to a position of one's own, or take some out (below zero)."""
        data = [self.exchange.prices.latest(_PRICE_IDS[symbol]).data]
        return self.exchange.perp.send(
            self.address, "modify_collateral", position_id, delta_wad, data, value_wei=UPDATE_FEE_WEI
        )

    def close(self, symbol: str, position_id: int, *, is_long: bool) -> str:
        """Close a position of one's own at the newest price."""
        data = [self.exchange.prices.latest(_PRICE_IDS[symbol]).data]
        limit = NO_LIMIT_DOWN if is_long else NO_LIMIT_UP
        return self.exchange.perp.send(self.address, "close", position_id, limit, data, value_wei=UPDATE_FEE_WEI)

    def place_closing(
        self, kind: int, position_id: int, *, is_long: bool, size_wad: int, trigger_wad: int, fee_wad: int
    ) -> str:
        """Have a position of one's own closed, or a part of it, by a stop-loss or a take-profit, at any price then."""
        limit = NO_LIMIT_DOWN if is_long else NO_LIMIT_UP
        terms = (kind, position_id, size_wad, trigger_wad, limit, fee_wad, 0)
        return self.exchange.perp.send(self.address, "place_closing_order", *terms)


def traders(exchange: Exchange, count: int) -> list[Trader]:
    """The node's accounts from the third on: the first deploys, the second is the keeper's."""
    return [Trader(exchange, address) for address in exchange.node.accounts[2 : 2 + count]]

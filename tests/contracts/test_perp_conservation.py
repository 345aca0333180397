"""Any history: no token appears or vanishes, and the events alone rebuild the whole state to the last digit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from contracts.markets import MAJOR, WAD
from tests.contracts.exchange import BTC, ETH, NO_LIMIT_DOWN, NO_LIMIT_UP, STOP_LOSS, TAKE_PROFIT, Exchange, wad
from tests.contracts.ledger import Ledger

pytestmark = pytest.mark.chain

Kind = Literal[
    *("open", "add", "withdraw", "close", "liquidate", "settle", "insure"), *("limit", "stop", "execute", "cancel")
]
OFTEN: tuple[Kind, ...] = (
    *("open", "open", "open", "open", "liquidate", "liquidate", "close", "withdraw", "settle"),
    *("limit", "stop", "execute", "execute"),
)


@dataclass(frozen=True)
class Action:
    """One step: what, by whom, how long after the last, and how far the price has gone by then."""

    kind: Kind
    actor: int
    after: int
    move_bps: int
    market_id: int
    is_long: bool
    size: int
    leverage_tenths: int
    pick: int


ACTIONS = st.builds(
    Action,
    kind=st.one_of(st.sampled_from(OFTEN), st.sampled_from(get_args(Kind))),
    actor=st.integers(0, 2),
    after=st.one_of(st.integers(0, 30), st.integers(0, 6 * 3600)),
    move_bps=st.integers(-150, 150),
    market_id=st.sampled_from([BTC, BTC, BTC, ETH]),
    is_long=st.booleans(),
    size=st.one_of(st.integers(1, 10**6), st.integers(10**18, 10**20), st.integers(10**19, 10**20)),
    leverage_tenths=st.integers(50, 510),
    pick=st.integers(0, 7),
)


class Play:
    """Carries out actions on the exchange; one that the contract refuses changes nothing and is no failure."""

    def __init__(self, exchange: Exchange):
        self.exchange = exchange
        self.prices = {BTC: 6_140_993_501_000, ETH: 301_244_000_000}
        self.accounts = (exchange.alice, exchange.bob, exchange.keeper)
        self.live: dict[int, dict[str, Any]] = {}
        self.waiting: dict[int, dict[str, Any]] = {}
        self.seen: set[str] = set()

    def do(self, action: Action) -> None:
        if action.kind == "insure":
            self._call("deposit_insurance", action.size, sender=self.accounts[action.actor], after=action.after)
        elif action.kind == "settle":
            self._trade("settle_funding", action, action.market_id)
        elif action.kind in ("execute", "cancel") and self.waiting:
            self._end_order(action, *list(self.waiting.items())[action.pick % len(self.waiting)])
        elif action.kind == "limit":
            self._place_limit(action)
        elif action.kind == "open" or not self.live:
            self._open(action)
        else:
            self._change(action, *list(self.live.items())[action.pick % len(self.live)])

    def _open(self, action: Action) -> None:
        limit = NO_LIMIT_UP if action.is_long else NO_LIMIT_DOWN
        margin = self._margin(action, action.market_id)
        self._trade("open", action, action.market_id, action.is_long, action.size, margin, limit)

    def _change(self, action: Action, position_id: int, position: dict[str, Any]) -> None:
        own = self.accounts.index(position["owner"])
        action = replace(action, market_id=position["market_id"])
        margin = self._margin(replace(action, size=position["size"]), action.market_id) // 4 + 1
        if action.kind == "liquidate":
            # The price goes against the position, up to 6 %: some positions survive it, some are insolvent by then.
            against = -abs(action.move_bps) * 4 if position["is_long"] else abs(action.move_bps) * 4
            self._trade("liquidate", replace(action, move_bps=against), position_id)
        elif action.kind == "stop":
            # A stop-loss at any price, of a part or of all.
            part = position["size"] if action.pick % 2 else action.size
            terms = (STOP_LOSS, position_id, part, wad("1000000"), NO_LIMIT_DOWN, action.leverage_tenths, 0)
            terms = terms if position["is_long"] else (TAKE_PROFIT, *terms[1:4], NO_LIMIT_UP, *terms[5:])
            self._call("place_closing_order", *terms, sender=self.accounts[own], after=action.after)
        elif action.kind == "close":
            limit = NO_LIMIT_DOWN if position["is_long"] else NO_LIMIT_UP
            self._trade("close", replace(action, actor=own), position_id, limit)
        else:
            delta = margin if action.kind == "add" else -margin
            self._trade("modify_collateral", replace(action, actor=own), position_id, delta)

    def _place_limit(self, action: Action) -> None:
        """A limit order at any price: for a new position, or for one of the actor's own."""
        limit = NO_LIMIT_UP if action.is_long else NO_LIMIT_DOWN
        trigger = wad("1000000") if action.is_long else 1
        own = [key for key, one in self.live.items() if one["owner"] == self.accounts[action.actor]]
        position_id = own[action.pick % len(own)] if own and action.pick % 2 else 0
        terms = (action.market_id, action.is_long, position_id, action.size, self._margin(action, action.market_id))
        fee = action.leverage_tenths
        sender = self.accounts[action.actor]
        self._call("place_limit_order", *terms, trigger, limit, fee, 0, sender=sender, after=action.after)

    def _end_order(self, action: Action, order_id: int, order: dict[str, Any]) -> None:
        if action.kind == "execute":
            self._trade("execute_order", replace(action, market_id=order["market_id"]), order_id)
        else:
            owner = self.accounts.index(order["owner"])
            self._call("cancel_order", order_id, sender=self.accounts[owner], after=action.after)

    def _margin(self, action: Action, market_id: int) -> int:
        return action.size * self.prices[market_id] * 10**10 * 10 // (WAD * action.leverage_tenths) + 1

    def _trade(self, function: str, action: Action, *arguments: object) -> None:
        self.prices[action.market_id] = self.prices[action.market_id] * (10_000 + action.move_bps) // 10_000
        price = f"{self.prices[action.market_id]}e-8"
        publish_time = self.exchange.now + action.after
        data = [self.exchange.price(action.market_id, price, conf="0", publish_time=publish_time)]
        self._call(function, *arguments, data, sender=self.accounts[action.actor], after=action.after, value=1)

    def _call(self, function: str, *arguments: object, **options: Any) -> None:
        mined = self.exchange.attempt(self.exchange.perp, function, *arguments, **options)
        for happened in mined.events if mined else []:
            self.seen.add(happened.name)
            if happened.name == "PositionOpened":
                self.live[happened.args["position_id"]] = happened.args
            elif happened.name in ("PositionClosed", "PositionLiquidated"):
                del self.live[happened.args["position_id"]]
            elif happened.name == "OrderPlaced":
                self.waiting[happened.args["order_id"]] = happened.args
            elif happened.name in ("OrderExecuted", "OrderCancelled"):
                del self.waiting[happened.args["order_id"]]


def check_money(exchange: Exchange) -> None:
    """The books and the token agree."""
    held = exchange.balance(exchange.perp.address)
    assert held == exchange.view("accounted_balance")


def check_rebuilt(exchange: Exchange) -> None:
    """The fold of all events is the contract's state."""
    ledger = Ledger.folded(exchange.all_events())
    assert ledger.pool == exchange.view("pool")
    assert ledger.insurance == exchange.view("insurance")
    assert ledger.total_collateral == exchange.view("total_collateral")
    assert ledger.escrow == exchange.view("escrow")
    for market_id, market in ledger.markets.items():
        state = exchange.market(market_id)
        assert market.interest == {True: state["long_open_interest"], False: state["short_open_interest"]}
        assert market.index == {True: state["long_funding_index"], False: state["short_funding_index"]}
        assert market.parameters == state["parameters"]
    for position_id in range(1, exchange.view("position_count") + 1):
        folded = ledger.positions.get(position_id)
        if folded is None:
            assert exchange.position(position_id)["size"] == 0
        else:
            assert exchange.position(position_id) == asdict(folded)


@pytest.fixture
def thin(exchange: Exchange) -> Exchange:
    """An exchange whose funding is fast enough to hurt, and whose insurance can run dry."""
    fast = MAJOR._replace(funding_factor_per_second=10**12, max_funding_rate_per_second=10**12)
    for market_id in (BTC, ETH):
        exchange.trade("update_market", market_id, fast, at="3000", sender=exchange.owner)
    return exchange


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=8, max_size=24))
def test_no_history_makes_or_loses_a_token(thin: Exchange, actions: list[Action]) -> None:
    snapshot = thin.rpc("evm_snapshot")
    try:
        play = Play(thin)
        for action in actions:
            play.do(action)
            check_money(thin)
        check_rebuilt(thin)
        for name in play.seen:
            event(name)  # what --hypothesis-show-statistics counts
    finally:
        assert thin.rpc("evm_revert", snapshot)


def test_a_history_of_every_kind_of_event(thin: Exchange) -> None:
    # Guards the test above: if its actions were all refused, it would prove nothing.
    play = Play(thin)
    step = Action("open", 0, 60, 0, BTC, True, 10**18, 200, 0)

    def act(**changes: Any) -> None:
        play.do(replace(step, **changes))
        check_money(thin)

    act()
    act(is_long=False, actor=1, size=3 * 10**18, leverage_tenths=150)
    act(market_id=ETH, size=10**19, leverage_tenths=100)
    act(kind="add")
    act(kind="withdraw", after=0)
    act(kind="settle", after=3600)
    act(kind="insure")
    act(kind="close", pick=2, move_bps=50)
    act(kind="limit")
    act(kind="execute")
    act(kind="limit", pick=1, size=10**17)
    act(kind="execute")
    act(kind="stop", actor=0, size=10**17)
    act(kind="execute")
    act(kind="limit", is_long=False)
    act(kind="cancel")
    act(kind="close", pick=2)
    act(kind="liquidate", pick=0, move_bps=140)
    act(kind="liquidate", pick=0, move_bps=400, actor=2)
    check_rebuilt(thin)
    events = thin.all_events()
    assert {happened.name for happened in events} == {
        "MarketAdded",
        "MarketUpdated",
        "PoolDeposited",
        "InsuranceDeposited",
        "FundingSettled",
        "PositionOpened",
        "CollateralChanged",
        "PositionClosed",
        "PositionIncreased",
        "PositionDecreased",
        "PositionLiquidated",
        "OrderPlaced",
        "OrderCancelled",
        "OrderExecuted",
    }
    assert any(happened.args.get("bad_debt") for happened in events)
    assert play.live == {}

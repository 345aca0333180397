"""The law: any order of applying, rolling back and applying again ends equal to a clean fold of the final chain."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.chain.queries.events import remove_events
from app.chain.types.blocks import Event
from app.perps.types.protocol import EventRule, PerpsProtocol
from app.perps.types.sections import FundingSection
from contracts.markets import WAD
from tests.perps import history
from tests.perps.history import GENESIS, History, Said
from tests.perps.told import assert_told

MARKETS, POSITIONS = 2, 4


def by_premium() -> PerpsProtocol:
    """Our exchange, its settlements read as if they said two prices."""
    ours = history.our_protocol()
    rules = [rule for rule in ours.section.events if rule.event != "perp.FundingSettled"]
    premium = EventRule.model_validate(
        {
            "event": "perp.FundingSettled",
            "effect": "premium",
            "fields": {"market_price": "long_funding_index", "price": "price"},
        }
    )
    funding = FundingSection(model="premium", authority="chain")
    return replace(ours, section=ours.section.model_copy(update={"events": (*rules, premium), "funding": funding}))


PROTOCOLS = [history.our_protocol, by_premium]

ids = st.integers(1, POSITIONS)
markets = st.integers(1, MARKETS)
amounts = st.integers(1, 5).map(lambda units: units * WAD)
signed = st.integers(-5, 5).map(lambda units: units * WAD)


def market_of(position_id: int) -> int:
    """A position's market is its own for good."""
    return 1 + position_id % MARKETS


def event(make: Callable[..., Said], **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Said]:
    """An event of some position, or of an order, in its market."""
    return st.builds(lambda number, **drawn: make(number, market_id=market_of(number), **drawn), ids, **values)


# Not only what the contract would do: openings that come twice, ends without a beginning, markets never listed.
said = st.one_of(
    st.builds(history.market_added, markets),
    st.builds(history.market_updated, markets, maintenance_margin_rate=st.integers(1, WAD // 10)),
    event(history.opened, size=amounts, collateral=amounts, is_long=st.booleans(), entry_funding_index=signed),
    event(history.opened, size=amounts, collateral=amounts, is_long=st.booleans(), entry_funding_index=signed),
    event(history.collateral_changed, collateral=amounts),
    event(history.closed, realized_pnl=signed, funding_paid=signed),
    event(history.increased, size=amounts, collateral=amounts, entry_funding_index=signed),
    event(history.decreased, size=st.just(WAD // 1000), collateral=st.just(7), realized_pnl=signed),
    event(history.order_placed, kind=st.integers(1, 3), position_id=st.integers(0, POSITIONS), trigger_price=amounts),
    event(history.order_cancelled),
    event(history.order_executed, position_id=st.integers(0, POSITIONS), price=amounts),
    event(history.liquidated, realized_pnl=signed, funding_paid=signed),
    st.tuples(markets, signed).map(lambda drawn: ("funding", *drawn)),
)
blocks = st.lists(said, max_size=5)
# Forward: so many blocks at once. Backward: undo so many of the newest.
steps = st.lists(st.tuples(st.sampled_from(["forward", "forward", "undo"]), st.integers(1, 4)), min_size=1, max_size=8)
LAW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def in_block(number: int, drawn: list[Any]) -> list[Said]:
    """A settlement is dated by its block, and a market has at most one in each."""
    found, settled = [], set()
    for one in drawn:
        if isinstance(one, Said):
            found.append(one)
        elif one[1] not in settled:
            settled.add(one[1])
            when = GENESIS + 12 * number
            found.append(history.funding_settled(one[1], when, long_funding_index=one[2], short_funding_index=-one[2]))
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@LAW
@given(steps, st.data())
def test_reorgs_end_equal_to_a_clean_fold(
    session: Session, protocol: Callable[[], PerpsProtocol], steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    session.rollback()
    told = History(session, protocol())
    chain: list[list[Event]] = []
    for direction, count in steps:
        if direction == "undo":
            keep = max(0, len(chain) - count)
            told.undo(keep)
            chain = chain[:keep]
            continue
        first = len(chain)
        for number in range(first, first + count):
            chain.append(told.mine(number, in_block(number, data.draw(blocks))))
        told.projection.apply(session, [event for events in chain[first:] for event in events])
    assert_told(session)
    assert told.state() == told.clean_state(chain)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@LAW
@given(st.lists(blocks, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_late_and_repeated_events_end_equal_too(
    session: Session, protocol: Callable[[], PerpsProtocol], drawn: list[list[Any]], chance: random.Random
) -> None:
    session.rollback()
    told = History(session, protocol())
    chain = [told.mine(number, in_block(number, said)) for number, said in enumerate(drawn)]
    events = [event for found in chain for event in found]
    shuffled = [*events, *(event for event in events if chance.random() < 0.3)]
    chance.shuffle(shuffled)
    while shuffled:
        cut = chance.randint(1, len(shuffled))
        told.projection.apply(session, shuffled[:cut])
        shuffled = shuffled[cut:]
    assert_told(session)
    assert told.state() == told.clean_state(chain)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@LAW
@given(st.lists(blocks, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_events_that_never_were_leave_no_trace(
    session: Session, protocol: Callable[[], PerpsProtocol], drawn: list[list[Any]], chance: random.Random
) -> None:
    session.rollback()
    told = History(session, protocol())
    chain = [told.mine(number, in_block(number, said)) for number, said in enumerate(drawn)]
    told.projection.apply(session, [event for events in chain for event in events])
    false = [event.log for events in chain for event in events if chance.random() < 0.3]
    remove_events(session, history.CHAIN_ID, false)
    told.projection.forget(session, history.CHAIN_ID, false)
    assert told.state() == told.clean_state([[one for one in events if one.log not in false] for events in chain])


def test_a_premium_that_comes_late_has_those_after_it_settled_anew(session: Session) -> None:
    told = History(session, by_premium())
    said = [
        [history.market_added(1)],
        *([history.funding_settled(1, GENESIS, long_funding_index=index * WAD)] for index in (900, 1_100, 1_300)),
    ]
    chain = [told.mine(number, events) for number, events in enumerate(said)]
    for number in (0, 1, 3, 2):
        told.projection.apply(session, chain[number])
    assert len(told.rows("perps_funding_rates")) == 3
    assert told.state() == told.clean_state(chain)

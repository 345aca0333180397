"""Whatever a contract's event says: it is folded in, or refused with a reason. No value is met by a column."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.perps.types.fitting import COUNT_MOST, KEY_BYTES_MOST, TEXT_BYTES_MOST, WAD_MOST, misfit
from app.perps.types.protocol import EventRule, PerpsProtocol
from app.perps.types.vocabulary import KINDS, NUMBERS, Effect, Kind
from contracts.markets import WAD
from tests.perps import history
from tests.perps.history import History, Said
from tests.perps.test_fold_law import by_premium

EDGES = [0, 1, 2**15, 2**31 - 1, 2**31, 2**63, WAD_MOST // 10**12, WAD_MOST // 10**12 + 1, WAD_MOST, WAD_MOST + 1]


def in_six_decimals() -> PerpsProtocol:
    """Our exchange, its numbers read as if they had six decimals, its collateral as if it were taken off the size."""
    ours = history.our_protocol()
    decimals = ours.section.decimals.model_copy(update=dict.fromkeys(("size", "price", "quote", "rate"), 6))
    fields = {"size": {"field": "collateral", "sign": -1}, "collateral": "collateral"}
    taken = {"event": "perp.CollateralChanged", "effect": "change", "mode": "delta", "fields": fields}
    rules = [
        EventRule.model_validate(taken) if rule.effect is Effect.COLLATERAL else rule for rule in ours.section.events
    ]
    return replace(ours, section=ours.section.model_copy(update={"decimals": decimals, "events": tuple(rules)}))


def value_of(kind: str) -> st.SearchStrategy[Any]:
    """Anything that an ABI type can be, its edges and those of our columns more often."""
    if kind.startswith(("uint", "int")):
        bits = int(kind.removeprefix("u").removeprefix("int"))
        signed = kind[0] == "i"
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        edges = [edge for one in EDGES for edge in (one, -one) if low <= edge <= high]
        return st.sampled_from([*edges, low, high]) | st.integers(low, high)
    if kind == "bool":
        return st.booleans()
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
    if kind == "string":
        return st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["", "\0", "x" * 3_000, "é" * 300])
    return st.binary(min_size=int(kind.removeprefix("bytes")), max_size=int(kind.removeprefix("bytes")))


def events_of(protocol: PerpsProtocol) -> st.SearchStrategy[Said]:
    """Any event that the file names, about one position in one market, or about others."""
    abi = {one["name"]: one["inputs"] for one in protocol.contracts["perp"].abi if one["type"] == "event"}
    identities = st.just(1) | value_of("uint256")
    kinds = [rule.event.partition(".")[2] for rule in protocol.section.events]
    return st.one_of(
        st.fixed_dictionaries(
            {
                one["name"]: identities
                if one["name"] in ("position_id", "market_id", "order_id")
                else value_of(one["type"])
                for one in abi[name]
            }
        ).map(lambda args, name=name: Said(name, args))
        for name in kinds
    )


PROTOCOLS = [history.our_protocol(), by_premium(), in_six_decimals()]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sampled_from(PROTOCOLS).flatmap(lambda one: st.tuples(st.just(one), st.lists(events_of(one), max_size=12))))
def test_every_value_is_folded_in_or_refused_with_a_reason(
    session: Session, drawn: tuple[PerpsProtocol, list[Said]]
) -> None:
    session.rollback()
    protocol, said = drawn
    told = History(session, protocol)
    for number, one in enumerate(said):
        events = told.mine(number, [one])
        refusals = [told.projection.refusal(event) for event in events]
        assert all(reason is None or reason for reason in refusals)
        told.projection.apply(session, [event for event, reason in zip(events, refusals, strict=True) if not reason])
    told.undo(len(said) // 2)


def test_a_limit_that_its_column_does_not_hold_is_refused_by_name(session: Session) -> None:
    told = History(session, history.our_protocol())
    (event,) = told.mine(1, [history.market_added(max_confidence_bps=2**32)])
    assert told.projection.refusal(event) == f"max_confidence_bps is not from 0 to {COUNT_MOST}"


def test_what_is_taken_past_nothing_turns_the_position(session: Session) -> None:
    """As it looks while an earlier event is missing; with it, there was enough to take from."""
    told = History(session, in_six_decimals())
    told.fold(1, history.opened(1, size=10**6, collateral=10**6))
    late = told.mine(2, [history.opened(1, size=10**7, collateral=10**6)])
    told.fold(3, history.collateral_changed(1, 4 * 10**6))
    (turned,) = told.rows("perps_positions")
    assert (turned["side"], turned["size_wad"]) == ("short", 3 * WAD)
    told.projection.apply(session, late)
    assert told.rows("perps_positions")[0]["size_wad"] == 6 * WAD


def test_every_field_has_its_bounds() -> None:
    beyond: dict[Kind, object] = {
        **dict.fromkeys(NUMBERS, WAD_MOST + 1),
        Kind.COUNT: COUNT_MOST + 1,
        Kind.TEXT: "x" * (TEXT_BYTES_MOST + 1),
    }
    # Read as what they are, or not at all.
    unbounded = {Kind.TIME, Kind.EXPIRY, Kind.ADDRESS, Kind.SIDE, Kind.ORDER_KIND}
    assert set(KINDS.values()) == {*beyond, *unbounded}
    assert all(misfit(kind, value) for kind, value in beyond.items())
    assert KEY_BYTES_MOST * 2 < 2_700, "two keys share an index's row"

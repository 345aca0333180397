"""Our own protocol file is whole; each mistake in one is a sentence; and other contracts' ways of writing are read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.chain.types.protocols import Protocol
from app.perps.errors import InvalidProtocol, UnreadableEvent
from app.perps.maths.calls import encode_call, encode_update_fee, find_function
from app.perps.maths.reading import key_of, read_into
from app.perps.maths.units import scaled_wad, sqrt_price_wad, wad_text
from app.perps.services.protocols import mistakes, perps_protocols
from app.perps.types.changes import Changes
from app.perps.types.positions import Place, Side
from app.perps.types.protocol import EventRule, PerpsProtocol
from app.perps.types.vocabulary import Effect
from contracts.markets import WAD
from tests.contracts.exchange import Exchange
from tests.perps import history
from tests.perps.computed import computed_table
from tests.perps.history import our_protocol

PLACE = Place(1, 0, b"\x01" * 32, b"\x02" * 32, datetime(2026, 1, 1, tzinfo=UTC))


def section() -> dict[str, Any]:
    """The file's `[perps]` as plain tables."""
    return our_protocol().section.model_dump(mode="json", by_alias=True)


def loaded(table: dict[str, Any]) -> PerpsProtocol:
    """Our protocol with another `[perps]`."""
    ours = our_protocol()
    (found,) = perps_protocols([Protocol(ours.name, ours.contracts, ours.contract_set, {"perps": table})])
    return found


def event(table: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(rule for rule in table["events"] if rule["event"] == f"perp.{name}")
    return found


def ours_to_settle(table: dict[str, Any]) -> None:
    """We settle, and yet there is an event that says what funding is."""
    event_rule = event(table, "FundingSettled")
    computed_table(table)["events"].append(event_rule)


def test_our_file_says_what_every_event_means() -> None:
    ours = our_protocol()
    assert {(rule.event, rule.effect) for rule in ours.section.events} == {
        ("perp.MarketAdded", Effect.MARKET),
        ("perp.MarketUpdated", Effect.MARKET),
        ("perp.PositionOpened", Effect.OPEN),
        ("perp.CollateralChanged", Effect.COLLATERAL),
        ("perp.PositionIncreased", Effect.CHANGE),
        ("perp.PositionDecreased", Effect.CHANGE),
        ("perp.OrderPlaced", Effect.ORDER_CREATED),
        ("perp.OrderCancelled", Effect.ORDER_CANCELLED),
        ("perp.OrderExecuted", Effect.ORDER_EXECUTED),
        ("perp.PositionClosed", Effect.CLOSE),
        ("perp.PositionLiquidated", Effect.LIQUIDATE),
        ("perp.FundingSettled", Effect.FUNDING),
    }
    assert {event.name for event in ours.contract_set.watched.values()} == {
        rule.event.split(".")[1] for rule in ours.section.events
    }
    assert loaded(section()).section == ours.section


def test_a_protocol_without_perps_is_none_of_ours() -> None:
    ours = our_protocol()
    assert perps_protocols([Protocol("other", ours.contracts, ours.contract_set, {})]) == ()


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        for name in path[:-1]:
            table = table[name]
        del table[path[-1]]

    return change


def put(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        for name in path[:-1]:
            table = table[name]
        table[path[-1]] = value

    return change


def field(name: str, word: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda table: put(value, "fields", word)(event(table, name))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("margin"), "perps.margin: Field required"),
        (put("both", "margin", "kind"), "perps.margin.kind"),
        (put("=<", "margin", "boundary"), "perps.margin.boundary"),
        (put([], "identity", "position"), "perps.identity.position"),
        (put("vamm", "funding", "model"), "perps.funding.model"),
        (put("nobody", "funding", "authority"), "perps.funding.authority"),
        (put("computed", "funding", "authority"), "there is nothing for keeper.settle_funding to do"),
        (
            lambda t: t["keeper"].pop("settle_funding"),
            "funding.authority `chain`: a keeper needs the call keeper.settle_funding",
        ),
        (
            put({"contract": "perp", "signature": "price(uint256)"}, "margin", "price"),
            "under isolated margin there are no accounts to tell of, nor to judge by a price",
        ),
        (
            lambda t: event(t, "PositionOpened").update(only={"colour": "red"}),
            "perp.PositionOpened has no field colour.",
        ),
        (ours_to_settle, "perp.FundingSettled: under funding.authority `computed` no event says what funding is paid"),
        (
            lambda t: computed_table(t)["funding"].update(slot_seconds=7_000),
            "needs a price, the model `open_interest_skew` and slots that fill a day",
        ),
        (put("0x12", "price", "contract"), "perps.price.contract"),
        (put(1, "keeper", "bribe"), "perps.keeper.bribe: Extra inputs are not permitted"),
        (put("shut", "client", "close", "function"), "perps.client.close: perp has no function shut of that many"),
        (
            put(["market_id", "luck"], "client", "close", "arguments"),
            "perps.client.close: perp has no function close of",
        ),
        (
            put(["position_id", "luck", "update_data"], "client", "close", "arguments"),
            "perps.client.close: nothing is known as luck.",
        ),
        (field("PositionOpened", "colour", "owner"), "an event of effect `open` has no ['colour']"),
        (lambda t: without("fields", "owner")(event(t, "PositionOpened")), "`open` needs ['owner']"),
        (
            lambda t: without("fields", "collateral")(event(t, "PositionOpened")),
            "under isolated margin an opening needs ['collateral', 'entry_funding_index']",
        ),
        (lambda t: without("fields", "symbol")(event(t, "MarketAdded")), "no event lists a market with all of"),
        (lambda t: t["events"].append(copy.deepcopy(t["events"][0])), "an event is described twice"),
        (lambda t: event(t, "PositionOpened").update(event="perp.Opened"), "perp.Opened is not an event of the file's"),
        (field("PositionOpened", "size", "amount"), "perp.PositionOpened has no field amount."),
        (put(["trader"], "identity", "position"), "has no field trader."),
        (put("pyth_id", "price", "feed"), "perp.MarketAdded has no field pyth_id."),
        (field("PositionOpened", "size", {"field": "size", "unit": "sqrt_price_x96"}), "size is not a price"),
        (field("PositionOpened", "size", {"field": "size", "decimals": 78}), "less than or equal to 77"),
        (field("PositionOpened", "size", {"field": "size", "sign": 2}), "fields.size.sign: Input should be 1 or -1"),
        (field("PositionOpened", "size", {"field": "size", "unit": "ether"}), "fields.size.unit: Input should be"),
        (field("PositionOpened", "owner", {"field": "owner", "decimals": 6}), "PositionOpened: owner has no decimals"),
        (field("PositionOpened", "owner", {"field": "owner", "sign": -1}), "PositionOpened: owner has no sign"),
        (
            field("PositionOpened", "size", "owner"),
            "perps.events.2.fields.size: perp.PositionOpened.owner is address; it must be a whole number.",
        ),
        (field("PositionOpened", "owner", "size"), "perp.PositionOpened.size is uint256; it must be an address."),
        (field("PositionOpened", "side", "size"), "size is uint256; it must be a flag or a signed number."),
        (put(["is_long"], "identity", "position"), "is_long is bool; it must be a number, an address, bytes or a"),
        (put("symbol", "price", "feed"), "perp.MarketAdded.symbol is string; it must be bytes32."),
        (without("price"), "without a price there is no keeper, and no isolated margin to judge"),
        (put("premium", "funding", "model"), "events of effect `premium` and funding.model `premium` belong together"),
        (
            field("PositionOpened", "size", {"value": "1", "field": "size"}),
            "size needs `field` or `value`, one of them",
        ),
        (
            field("PositionOpened", "size", {"value": "many"}),
            "size is a number with at most 18 digits on each side of the point",
        ),
        (field("MarketAdded", "max_confidence_bps", {"value": "1.5"}), "max_confidence_bps is a whole number"),
        (field("PositionOpened", "owner", {"value": "0x"}), "owner cannot be the same for every event"),
        (
            lambda t: without("fields", "exit_price")(event(t, "PositionLiquidated")),
            "a liquidation needs `exit_price`, or `size` and `notional`",
        ),
        (put("seize", "keeper", "liquidate", "function"), "perps.keeper.liquidate: perp has no function seize"),
        (put(["position_id", "bribe"], "keeper", "liquidate", "arguments"), "nothing is known as bribe"),
    ],
)
def test_a_mistake_is_a_sentence(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    table = section()
    change(table)
    with pytest.raises(InvalidProtocol) as refused:
        loaded(table)
    assert str(refused.value).startswith("watchkeeper_perps.toml: ")
    assert sentence in str(refused.value)


def test_every_mistake_is_said() -> None:
    table = section()
    field("PositionOpened", "size", "amount")(table)
    put("seize", "keeper", "liquidate", "function")(table)
    ours = our_protocol()
    said = mistakes(Protocol(ours.name, ours.contracts, ours.contract_set, {"perps": table}))
    assert [sentence.split(":")[0] for sentence in said] == ["perps.events.2.fields.size", "perps.keeper.liquidate"]


def read(rule: dict[str, Any], args: dict[str, Any], **table: Any) -> Changes:
    changes = Changes()
    values = section() | table
    found = loaded(values).section
    read_into(changes, found, EventRule.model_validate(rule), args, PLACE)
    return changes


def test_another_contracts_way_of_writing_is_read() -> None:
    """Signed sizes, six decimals of quote, a square root for a price, an address and a market for an identity."""
    rule = {
        "event": "clearing.PositionChanged",
        "effect": "open",
        "fields": {
            "owner": "trader",
            "side": "positionSize",
            "size": "positionSize",
            "collateral": {"field": "margin", "decimals": 6},
            "entry_price": {"field": "sqrtPriceAfterX96", "unit": "sqrt_price_x96"},
            "realized_pnl": {"field": "cost", "sign": -1},
            "entry_funding_index": "growth",
        },
    }
    args = {
        "trader": b"\xaa" * 20,
        "baseToken": b"\xbb" * 20,
        "positionSize": -3 * WAD,
        "margin": 25_500_000,
        # The root of 2,500 with 96 fractional bits.
        "sqrtPriceAfterX96": 50 << 96,
        "cost": 7 * WAD,
        "growth": -5,
    }
    ours = our_protocol().section
    identity = {"position": ("trader", "baseToken"), "market": ("baseToken",)}
    changes = Changes()
    found = ours.model_copy(update={"identity": ours.identity.model_copy(update=identity)})
    read_into(changes, found, EventRule.model_validate(rule), args, PLACE)
    (change,) = changes.positions
    assert change.key == "0x" + "aa" * 20 + ":0x" + "bb" * 20
    assert change.market_id == "0x" + "bb" * 20
    assert (change.side, change.size_wad) == (Side.SHORT, 3 * WAD)
    assert change.collateral_wad == 25 * WAD + WAD // 2
    assert (change.entry_price_wad, change.realized_pnl_wad) == (2500 * WAD, -7 * WAD)
    assert change.entry_funding_index_wad == -5


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "many"},
        {"size": True},
        {"owner": b"\xaa" * 19},
        {"position_id": 1.5},
        {"collateral": None},
    ],
)
def test_an_event_that_is_not_as_promised_is_refused(wrong: dict[str, Any]) -> None:
    rule = event(section(), "PositionOpened")
    with pytest.raises(UnreadableEvent):
        read(rule, {**history.opened(1).args, **wrong})


def test_a_time_out_of_range_is_refused() -> None:
    rule = event(section(), "FundingSettled")
    with pytest.raises(UnreadableEvent, match="not a time"):
        read(rule, dict(history.funding_settled(1, 2**200).args))


def test_deltas_and_changes_add_up(session: Session) -> None:
    """A contract that says what is added, not what there is: and changes size besides collateral."""
    table = section()
    rule = event(table, "CollateralChanged")
    rule |= {"mode": "delta", "fields": {"collateral": "delta"}}
    protocol = loaded(table)
    told = history.History(session, protocol)
    told.fold(1, history.market_added(1), history.opened(1, collateral=100 * WAD))
    for number, delta in enumerate((30, -50), 2):
        said = history.Said("CollateralChanged", {**history.collateral_changed(1, 0).args, "delta": delta * WAD})
        told.fold(number, said)
    assert told.rows("perps_positions")[0]["collateral_wad"] == 80 * WAD
    rule |= {"effect": "change", "mode": "absolute", "fields": {"size": "delta"}}
    changing = history.History(session, loaded(table))
    said = history.Said("CollateralChanged", {**history.collateral_changed(1, 0).args, "delta": WAD // 2})
    changing.fold(4, said)
    (position,) = changing.rows("perps_positions")
    assert (position["size_wad"], position["collateral_wad"]) == (WAD // 2, 80 * WAD)
    assert changing.rows("perps_markets")[0]["total_long_wad"] == WAD // 2


def test_under_cross_margin_what_is_the_accounts_is_empty(session: Session) -> None:
    table = section()
    put("cross", "margin", "kind")(table)
    for word in ("collateral", "entry_funding_index"):
        without("fields", word)(event(table, "PositionOpened"))
    told = history.History(session, loaded(table))
    told.fold(1, history.market_added(1), history.opened(1))
    told.fold(2, history.collateral_changed(1, 5 * WAD))
    (position,) = told.rows("perps_positions")
    assert (position["collateral_wad"], position["leverage_wad"], position["trigger_key"]) == (None, None, None)


def test_numbers_into_wad_and_out() -> None:
    assert [scaled_wad(5, 0), scaled_wad(5, 18), scaled_wad(-15, 19), scaled_wad(1, -2)] == [
        5 * WAD,
        5,
        -2,
        100 * WAD,
    ]
    # 79228162514264337593543950336 = 2^96 is the price 1 (Uniswap v3's documentation); just below, a unit less.
    assert [sqrt_price_wad(2**96), sqrt_price_wad(2**96 - 1)] == [WAD, WAD - 1]
    assert [wad_text(value) for value in (0, WAD, -WAD // 2, 1, 15 * WAD // 10)] == [
        "0",
        "1",
        "-0.5",
        "0.000000000000000001",
        "1.5",
    ]
    assert Fraction(wad_text(-(2**255))) * WAD == -(2**255)


@pytest.mark.chain
def test_calls_are_encoded_as_the_contract_reads_them(exchange: Exchange) -> None:
    data = [b"\x01\x02", b"", b"\xff" * 40]
    abi = our_protocol().contracts["perp"].abi
    function = find_function(abi, "liquidate", 2)
    assert function is not None
    assert encode_call(function, ["17", data]) == bytes.fromhex(exchange.perp.encode_abi("liquidate", [17, data])[2:])
    assert encode_update_fee(data) == bytes.fromhex(exchange.pyth.encode_abi("getUpdateFee", [data])[2:])
    assert find_function(abi, "liquidate", 3) is None


def test_identities_are_text() -> None:
    assert key_of({"a": 7, "b": b"\x01\x02", "c": "x"}, ("a", "b", "c")) == "7:0x0102:x"
    with pytest.raises(UnreadableEvent):
        key_of({"a": True}, ("a",))

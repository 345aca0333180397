"""From a contract's decoded event to our own words, as the protocol file says. Guesses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from app.perps.errors import UnreadableEvent
from app.perps.maths.units import WAD_DECIMALS, scaled_wad, sqrt_price_wad
from app.perps.types.changes import Changes, FundingEntry, MarketChange, OrderChange, PositionChange, Premium
from app.perps.types.fitting import KEY_BYTES_MOST, misfit, text_misfit
from app.perps.types.orders import OrderKind
from app.perps.types.positions import Place, PnlEntry, Side
from app.perps.types.protocol import EventRule, FieldRule, PerpsSection, Unit
from app.perps.types.vocabulary import KINDS, LIMITS, NUMBERS, ORDER_EFFECTS, Effect, Kind, Mode

ADDRESS_BYTES = 20
_EXACT = Context(prec=80)
FEED_BYTES = 32
_LAST_TIME = int(datetime(9998, 1, 1, tzinfo=UTC).timestamp())


def read_into(changes: Changes, section: PerpsSection, rule: EventRule, args: Mapping[str, Any], place: Place) -> None:
    """Add what the event says to `changes`; raises UnreadableEvent when it does not say what its rule promises."""
    if any(key_of(args, (name,)).lower() != value.lower() for name, value in rule.only.items()):
        return
    values = {name: _value(name, field, args, section) for name, field in rule.fields.items()}
    if "size" in values and rule.mode is Mode.ABSOLUTE and rule.effect is not Effect.TRADE:
        values["size"] = abs(values["size"])  # where the contract signs it, the sign is the side
    if rule.effect is Effect.ACCOUNT:
        changes.accounts.append(_account(place, values))
        return
    market_id = key_of(args, section.identity.market)
    if rule.effect is Effect.MARKET:
        source = section.feed_field
        feed = None if source is None else _feed(source, args.get(source))
        changes.markets.append(MarketChange(market_id=market_id, place=place, terms=values, price_feed=feed))
    elif rule.effect is Effect.FUNDING:
        changes.funding.append(_funding(market_id, place, values))
    elif rule.effect is Effect.PREMIUM:
        prices = {"market_price_wad": values["market_price"], "price_wad": values["price"]}
        changes.premiums.append(Premium(market_id=market_id, place=place, **prices))
    elif rule.effect in ORDER_EFFECTS:
        changes.orders.append(_order(section, rule.effect, args, values, market_id, place))
    else:
        named = {_attribute(name): value for name, value in values.items()}
        key = key_of(args, section.identity.position)
        changes.positions.append(
            PositionChange(key=key, market_id=market_id, effect=rule.effect, mode=rule.mode, place=place, **named)
        )


def key_of(args: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The identity that the named fields make, as text: numbers in digits, bytes in hex, joined by colons."""
    key = ":".join(_key_part(name, args) for name in names)
    if problem := text_misfit(key, KEY_BYTES_MOST):
        raise UnreadableEvent(f"the identity made of {', '.join(names)} {problem}")
    return key


def _key_part(name: str, args: Mapping[str, Any]) -> str:
    value = args.get(name)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int | str) and not isinstance(value, bool):
        return str(value)
    raise UnreadableEvent(f"the identity's field {name} is {value!r:.80}")


def _value(name: str, rule: FieldRule, args: Mapping[str, Any], section: PerpsSection) -> Any:
    value = _read(name, rule, args, section)
    if problem := misfit(KINDS[name], value):
        if name in LIMITS:
            return None
        raise UnreadableEvent(f"{rule.source or name} {problem}")
    return value


def _read(name: str, rule: FieldRule, args: Mapping[str, Any], section: PerpsSection) -> Any:
    if rule.value is not None:
        return _constant(KINDS[name], rule.value)
    if rule.source is None or rule.source not in args:
        raise UnreadableEvent(f"the event has no field {rule.source}")
    raw, kind = args[rule.source], KINDS[name]
    if kind in NUMBERS:
        decimals = section.decimals.of(kind) if rule.decimals is None else rule.decimals
        return _number(rule, raw, decimals)
    if kind is Kind.ORDER_KIND:
        return _order_kind(raw, rule, section)
    return _READERS[kind](raw, rule)


def _constant(kind: Kind, value: str) -> int | str:
    if kind in NUMBERS:
        return int(Decimal(value).scaleb(WAD_DECIMALS, _EXACT))
    if kind is Kind.ORDER_KIND:
        return OrderKind(value)
    return int(value) if kind is Kind.COUNT else value


def _number(rule: FieldRule, raw: Any, decimals: int) -> int:
    value = _whole(raw, rule)
    return sqrt_price_wad(value) if rule.unit is Unit.SQRT_PRICE_X96 else scaled_wad(value, decimals)


def _whole(raw: Any, rule: FieldRule) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise UnreadableEvent(f"{rule.source} is {raw!r:.80}, not a number")
    return raw * rule.sign


def _side(raw: Any, rule: FieldRule) -> Side:
    """A flag says `is long`; a signed number is long above nothing."""
    if isinstance(raw, bool):
        return Side.LONG if raw is (rule.sign == 1) else Side.SHORT
    return Side.LONG if _whole(raw, rule) > 0 else Side.SHORT


def _address(raw: Any, rule: FieldRule) -> bytes:
    if not isinstance(raw, bytes) or len(raw) != ADDRESS_BYTES:
        raise UnreadableEvent(f"{rule.source} is {raw!r:.80}, not an address")
    return raw


def _feed(name: str, raw: Any) -> bytes | None:
    """The price feed's id; None where the event does not name one, as a change of terms need not."""
    if raw is not None and (not isinstance(raw, bytes) or len(raw) != FEED_BYTES):
        raise UnreadableEvent(f"{name} is {raw!r:.80}, not a feed's id")
    return raw


def _text(raw: Any, rule: FieldRule) -> str:
    if isinstance(raw, bytes):  # a token that goes by its address
        return "0x" + raw.hex()
    if not isinstance(raw, str):
        raise UnreadableEvent(f"{rule.source} is {raw!r:.80}, not text")
    return raw.replace("\x00", "")  # Postgres cannot hold one, and no symbol means one


def _time(raw: Any, rule: FieldRule) -> datetime:
    seconds = _whole(raw, rule)
    if not 0 <= seconds < _LAST_TIME:
        raise UnreadableEvent(f"{rule.source} is {seconds}, not a time")
    return datetime.fromtimestamp(seconds, UTC)


def _expiry(raw: Any, rule: FieldRule) -> datetime | None:
    """None for nothing, and for what lies past any calendar: it never expires."""
    return None if raw == 0 or _whole(raw, rule) >= _LAST_TIME else _time(raw, rule)


def _order_kind(raw: Any, rule: FieldRule, section: PerpsSection) -> OrderKind:
    kind = section.orders.kinds.get(str(_whole(raw, rule)))
    if kind is None:
        raise UnreadableEvent(f"{rule.source} is {raw!r:.80}, which perps.orders.kinds does not name")
    return kind


_READERS: Mapping[Kind, Callable[[Any, FieldRule], Any]] = {
    Kind.COUNT: _whole,
    Kind.SIDE: _side,
    Kind.TEXT: _text,
    Kind.TIME: _time,
    Kind.EXPIRY: _expiry,
    Kind.ADDRESS: _address,
}


def _attribute(name: str) -> str:
    return f"{name}_wad" if KINDS[name] in NUMBERS else name


def _account(place: Place, values: Mapping[str, Any]) -> PnlEntry:
    return PnlEntry(
        key=None,
        market_id=None,
        owner=values["owner"],
        place=place,
        transfer_wad=values.get("transfer", 0),
        realized_pnl_wad=values.get("realized_pnl", 0),
    )


def _order(
    section: PerpsSection,
    effect: Effect,
    args: Mapping[str, Any],
    values: Mapping[str, Any],
    market_id: str,
    place: Place,
) -> OrderChange:
    named = section.identity.position
    has_one = all(name in args for name in named) and not all(_is_nothing(args[name]) for name in named)
    return OrderChange(
        key=key_of(args, section.identity.order),
        market_id=market_id,
        effect=effect,
        place=place,
        position_key=key_of(args, named) if has_one else None,
        **{_attribute(name): value for name, value in values.items()},
    )


def _is_nothing(value: Any) -> bool:
    return not any(value) if isinstance(value, bytes) else value in (0, "")


def _funding(market_id: str, place: Place, values: Mapping[str, Any]) -> FundingEntry:
    return FundingEntry(
        market_id=market_id,
        place=place,
        rate_wad=values["rate_per_second"],
        long_index_wad=values["long_index"],
        short_index_wad=values["short_index"],
        long_open_interest_wad=values.get("long_open_interest"),
        short_open_interest_wad=values.get("short_open_interest"),
        price_wad=values["price"],
        elapsed_seconds=values["elapsed_seconds"],
        settled_at=values["settled_at"],
    )

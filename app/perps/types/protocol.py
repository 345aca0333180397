"""The `[perps]` part of a protocol file, checked: a word that is not known, or one that is missing, is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.chain.types.blocks import ContractSet
from app.chain.types.protocols import ProtocolContract
from app.perps.types.fitting import misfit
from app.perps.types.markets import Boundary
from app.perps.types.orders import OrderKind
from app.perps.types.vocabulary import FIELDS, KINDS, NUMBERS, ORDER_EFFECTS, TERMS, Effect, Kind, MarginKind, Mode

Name = Annotated[str, Field(min_length=1, max_length=100)]
Decimals = Annotated[int, Field(ge=0, le=77)]
MarginRate = Literal["maintenance_margin_rate", "liquidation_fee_rate", "close_fee_rate"]


class Section(BaseModel):
    """A table of the file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(StrEnum):
    """How a number is written: as itself, or as Uniswap v3's square root with 96 fractional bits."""

    PLAIN = "plain"
    SQRT_PRICE_X96 = "sqrt_price_x96"


class FieldRule(Section):
    """Where a field comes from: the event's own name for it, and, for a number, its decimals, sign and unit; or a
    `value` that is the same for every event, a decimal for a number.
    """

    source: Name | None = Field(default=None, alias="field")
    value: Name | None = None
    decimals: Decimals | None = None
    sign: Literal[1, -1] = 1
    unit: Unit = Unit.PLAIN


class EventRule(Section):
    """What one event means. `event` is `contract.Event`; `fields` maps our words to the event's."""

    event: Annotated[str, Field(pattern=r"^[\w-]+\.\w+$")]
    effect: Effect
    mode: Mode = Mode.ABSOLUTE
    fields: Mapping[str, FieldRule]

    @field_validator("fields", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        # `size = "size"` is short for `size = { field = "size" }`.
        if not isinstance(value, Mapping):
            return value
        return {name: {"field": rule} if isinstance(rule, str) else rule for name, rule in value.items()}

    @model_validator(mode="after")
    def _known_words(self) -> EventRule:
        words = FIELDS[self.effect]
        named = self.fields.keys()
        if unknown := named - words.known:
            raise ValueError(f"{self.event}: an event of effect `{self.effect}` has no {sorted(unknown)}")
        if missing := words.required - named:
            raise ValueError(f"{self.event}: an event of effect `{self.effect}` needs {sorted(missing)}")
        if self.effect is Effect.LIQUIDATE and not ({"exit_price"} <= named or {"size", "notional"} <= named):
            raise ValueError(f"{self.event}: a liquidation needs `exit_price`, or `size` and `notional`")
        for name, rule in self.fields.items():
            if problem := _unit_problem(KINDS[name], rule):
                raise ValueError(f"{self.event}: {name} {problem}")
        return self


def _unit_problem(kind: Kind, rule: FieldRule) -> str | None:
    """What the rule says of a field that it is not."""
    if (rule.source is None) == (rule.value is None):
        return "needs `field` or `value`, one of them"
    if rule.value is not None:
        return constant_problem(kind, rule.value)
    if rule.unit is Unit.SQRT_PRICE_X96 and kind is not Kind.PRICE:
        return "is not a price, so its unit cannot be sqrt_price_x96"
    if rule.decimals is not None and (kind not in NUMBERS or rule.unit is not Unit.PLAIN):
        return "has no decimals"
    if rule.sign != 1 and kind not in (*NUMBERS, Kind.SIDE):
        return "has no sign"
    return None


def constant_problem(kind: Kind, value: str) -> str | None:
    """Why a value cannot be the same for every event; None when it can."""
    if kind is Kind.TEXT:
        return None
    if kind is Kind.ORDER_KIND:
        return None if value in list(OrderKind) else f"is none of {', '.join(OrderKind)}"
    if kind in NUMBERS:
        problem = "is a number with at most 18 digits on each side of the point"
        return None if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value) else problem
    if kind is Kind.COUNT:
        return misfit(kind, int(value)) if re.fullmatch(r"[0-9]{1,18}", value) else "is a whole number"
    return "cannot be the same for every event"


class DecimalsSection(Section):
    """How many decimals the contract's numbers have, by what they count."""

    size: Decimals = 18
    price: Decimals = 18
    quote: Decimals = 18
    rate: Decimals = 18

    def of(self, kind: Kind) -> int:
        """The decimals of a kind of number."""
        found: int = getattr(self, kind)
        return found


class IdentitySection(Section):
    """The event fields that make a position's key, a market's and an order's; every event of theirs has them.

    An order's event may have its position's too: all of them nothing, it opens one.
    """

    position: Annotated[tuple[Name, ...], Field(min_length=1)]
    market: Annotated[tuple[Name, ...], Field(min_length=1)]
    order: tuple[Name, ...] = ()


class MarginSection(Section):
    """Whose collateral, on which side of the margin equality falls, and which of the market's rates make the margin."""

    kind: MarginKind
    boundary: Boundary
    rates: Annotated[tuple[MarginRate, ...], Field(min_length=1)] = ("maintenance_margin_rate",)


class PriceSection(Section):
    """The protocol's own price. `pyth`: `feed` is the market event's field that names it, `contract` the one on chain
    that takes the update data, by its source's public interface. `aggregate`: what all sources of the market's pair
    come to; its calls carry no update data.

    A position is judged over price ± confidence · `confidence_multiple` (1: the interval as published).
    """

    source: Literal["pyth", "aggregate"] = "pyth"
    contract: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")] | None = None
    feed: Name | None = None
    confidence_multiple: Annotated[Decimal, Field(ge=0, le=10)] = Decimal(1)

    @model_validator(mode="after")
    def _as_the_source_needs(self) -> PriceSection:
        given = {self.contract is not None, self.feed is not None}
        if given != {self.source == "pyth"}:
            raise ValueError("`contract` and `feed` belong to the source `pyth`, and to it alone")
        return self

    def get_contract(self) -> bytes:
        """The contract that takes the update data; only asked for where there is one."""
        if self.contract is None:
            raise ValueError("the price has no contract")
        return bytes.fromhex(self.contract[2:])


class FundingSection(Section):
    """Which model, and who settles: the chain's own events.

    `open_interest_skew` accrues between settlements. `premium` is what its settlements say: the market's price above
    the index's, at most `max_rate` of that, for every `period_seconds`.
    """

    model: Literal["open_interest_skew", "premium"]
    authority: Literal["chain"]
    period_seconds: Annotated[int, Field(ge=1)] = 86_400
    max_rate: Annotated[Decimal, Field(gt=0, le=10)] | None = None


class CallRule(Section):
    """A transaction of ours: its contract and function, and our words for its arguments, in order."""

    contract: Name
    function: Name
    arguments: tuple[Name, ...]


class KeeperSection(Section):
    """The calls a keeper makes, and what a contract's refusals of them mean, by their reason."""

    liquidate: CallRule
    settle_funding: CallRule
    execute_order: CallRule | None = None
    healthy: tuple[Name, ...] = ()
    untriggered: tuple[Name, ...] = ()
    gone: tuple[Name, ...] = ()


class OrdersSection(Section):
    """Which number of the contract's is which kind of order."""

    kinds: Mapping[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], OrderKind] = Field(default_factory=dict)


class ClientSection(Section):
    """The calls that traders make themselves, which we only fill in; each may be left out."""

    open: CallRule | None = None
    close: CallRule | None = None
    collateral: CallRule | None = None


class PerpsSection(Section):
    """The whole of `[perps]`."""

    identity: IdentitySection
    margin: MarginSection
    price: PriceSection | None = None
    funding: FundingSection
    decimals: DecimalsSection = DecimalsSection()
    keeper: KeeperSection | None = None
    orders: OrdersSection = OrdersSection()
    client: ClientSection = ClientSection()
    events: Annotated[tuple[EventRule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> PerpsSection:
        names = [rule.event for rule in self.events]
        if len(set(names)) != len(names):
            raise ValueError("an event is described twice")
        if not any(rule.effect is Effect.MARKET and rule.fields.keys() == TERMS for rule in self.events):
            raise ValueError(f"no event lists a market with all of {sorted(TERMS)}")
        if self.price is None and (self.keeper is not None or self.margin.kind is MarginKind.ISOLATED):
            raise ValueError("without a price there is no keeper, and no isolated margin to judge")
        if not self.identity.order and any(rule.effect in ORDER_EFFECTS for rule in self.events):
            raise ValueError("orders need `identity.order`, the event fields that make an order's key")
        premium = any(rule.effect is Effect.PREMIUM for rule in self.events)
        if premium is not (self.funding.model == "premium"):
            raise ValueError("events of effect `premium` and funding.model `premium` belong together")
        isolated = {"collateral", "entry_funding_index"}
        for rule in self.events:
            if self.margin.kind is MarginKind.ISOLATED and rule.effect is Effect.OPEN and isolated - rule.fields.keys():
                raise ValueError(f"{rule.event}: under isolated margin an opening needs {sorted(isolated)}")
        return self

    @property
    def feed_field(self) -> str | None:
        """The market event's field that names its feed; None where markets have none."""
        return None if self.price is None else self.price.feed

    def get_price(self) -> PriceSection:
        """The protocol's own price; only asked for where there is one."""
        if self.price is None:
            raise ValueError("the protocol has no price")
        return self.price


@dataclass(frozen=True, slots=True)
class PerpsProtocol:
    """A perps protocol this deployment follows, its file checked against its contracts' ABIs."""

    name: str
    section: PerpsSection
    contract_set: ContractSet
    contracts: Mapping[str, ProtocolContract]

    @property
    def chain_id(self) -> int:
        """Where it lives."""
        return self.contract_set.chain_id

    def rule_of(self, contract: str, event: str) -> EventRule | None:
        """What the file says of an event; None when it means nothing to us."""
        name = f"{contract}.{event}"
        return next((rule for rule in self.section.events if rule.event == name), None)

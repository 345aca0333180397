"""The `[perps]` part of a protocol file, checked: a word that is not known, or one that is missing, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from app.chain.types.blocks import ContractSet
from app.chain.types.protocols import ProtocolContract
from app.perps.types.fitting import misfit
from app.perps.types.orders import OrderKind
from app.perps.types.sections import (
    ClientSection,
    Decimals,
    DecimalsSection,
    FundingSection,
    IdentitySection,
    KeeperSection,
    MarginSection,
    Name,
    OrdersSection,
    PriceSection,
    Section,
)
from app.perps.types.vocabulary import FIELDS, KINDS, NUMBERS, ORDER_EFFECTS, TERMS, Effect, Kind, MarginKind, Mode


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
    """What one event means. `event` is `contract.Event`; `fields` maps our words to the event's; `only` the event's own
    fields to what they must be for it to mean anything."""

    event: Annotated[str, Field(pattern=r"^[\w-]+\.\w+$")]
    effect: Effect
    mode: Mode = Mode.ABSOLUTE
    fields: Mapping[str, FieldRule]
    only: Mapping[Name, Name] = {}

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
        for problem in (*self._funding_problems(), *self._account_problems()):
            raise ValueError(problem)
        isolated = {"collateral"} if self.is_computed else {"collateral", "entry_funding_index"}
        for rule in self.events:
            if self.margin.kind is MarginKind.ISOLATED and rule.effect is Effect.OPEN and isolated - rule.fields.keys():
                raise ValueError(f"{rule.event}: under isolated margin an opening needs {sorted(isolated)}")
        return self

    def _funding_problems(self) -> Iterator[str]:
        """Who settles must be able to, and nobody else says what is paid."""
        if not self.is_computed:
            if self.keeper is not None and self.keeper.settle_funding is None:
                yield "funding.authority `chain`: a keeper needs the call keeper.settle_funding"
            return
        if self.price is None or self.funding.model != "open_interest_skew" or 86_400 % self.funding.slot_seconds:
            yield "funding.authority `computed` needs a price, the model `open_interest_skew` and slots that fill a day"
        if self.keeper is not None and self.keeper.settle_funding is not None:
            yield "funding.authority `computed`: there is nothing for keeper.settle_funding to do"
        for rule in self.events:
            if rule.effect is Effect.FUNDING or {"entry_funding_index", "funding_paid"} & rule.fields.keys():
                yield f"{rule.event}: under funding.authority `computed` no event says what funding is paid"

    def _account_problems(self) -> Iterator[str]:
        """What belongs to accounts needs accounts."""
        accounts = any(rule.effect is Effect.ACCOUNT for rule in self.events)
        if self.margin.kind is MarginKind.ISOLATED and (accounts or self.margin.price is not None):
            yield "under isolated margin there are no accounts to tell of, nor to judge by a price"
        call = self.margin.price
        if call is not None and (not accounts or len(call.types) != len(self.identity.market)):
            yield "margin.price needs events of effect `account`, and an argument for each field of identity.market"

    @property
    def is_cross(self) -> bool:
        """Is the margin the accounts'?"""
        return self.margin.kind is MarginKind.CROSS

    @property
    def is_computed(self) -> bool:
        """Do we settle the funding ourselves?"""
        return self.funding.authority == "computed"

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

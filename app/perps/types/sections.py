"""The tables of `[perps]` that stand by themselves: whose numbers, margin, price and funding, and which calls."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.perps.types.markets import Boundary
from app.perps.types.orders import OrderKind
from app.perps.types.vocabulary import Kind, MarginKind

Name = Annotated[str, Field(min_length=1, max_length=100)]
Decimals = Annotated[int, Field(ge=0, le=77)]
MarginRate = Literal["maintenance_margin_rate", "liquidation_fee_rate", "close_fee_rate"]


class Section(BaseModel):
    """A table of the file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class PriceCall(Section):
    """A view of a contract that says a market's price; its arguments are the market's identity."""

    contract: Name
    signature: Annotated[str, Field(pattern=r"^\w+\(\w+(,\w+)*\)$")]

    @property
    def types(self) -> list[str]:
        """Its arguments' types."""
        return self.signature[self.signature.index("(") + 1 : -1].split(",")


class MarginSection(Section):
    """Whose collateral, on which side of the margin equality falls, and which of the market's rates make the margin.

    `price` is what accounts of cross margin are judged by: the contract's own, asked when it is needed.
    """

    kind: MarginKind
    boundary: Boundary
    rates: Annotated[tuple[MarginRate, ...], Field(min_length=1)] = ("maintenance_margin_rate",)
    price: PriceCall | None = None


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
    """Which model, and who settles: the chain's own events, or we (`computed`), every `slot_seconds` of UTC.

    `open_interest_skew` accrues between settlements. `premium` is what its settlements say: the market's price above
    the index's, at most `max_rate` of that, for every `period_seconds`.
    """

    model: Literal["open_interest_skew", "premium"]
    authority: Literal["chain", "computed"]
    slot_seconds: Annotated[int, Field(ge=60, le=86_400)] = 3_600
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
    settle_funding: CallRule | None = None
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

"""Funding by our own authority: which slots are due, and what a settlement of one comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.perps.maths.funding import accrued, funding_rate_wad
from app.perps.types.changes import FundingEntry
from app.perps.types.markets import FundingState, FundingTerms
from app.perps.types.positions import Place

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEFORE_ALL = -1  # a log index: before the block's first event


def next_slot(after: datetime, slot_seconds: int) -> datetime:
    """The first slot later than `after`: the whole multiples of `slot_seconds` of UTC."""
    slot = timedelta(seconds=slot_seconds)
    return EPOCH + ((after - EPOCH) // slot + 1) * slot


def settlement(
    market_id: str,
    state: FundingState,
    terms: FundingTerms,
    *,
    price_wad: int,
    slot_at: datetime,
    block_number: int,
    block_hash: bytes,
) -> FundingEntry:
    """The settlement of a slot: the rate of the open interest then, for the time since the one before, at this price.

    It stands before the first event of the given block, which is one after the slot. Roundings are those of `accrued`.
    """
    elapsed = (slot_at - state.settled_at) // timedelta(seconds=1)
    after = accrued(state, terms, price_wad=price_wad, elapsed_seconds=elapsed)
    return FundingEntry(
        market_id=market_id,
        place=Place(block_number, BEFORE_ALL, block_hash, b"", slot_at),
        rate_wad=funding_rate_wad(state.long_open_interest_wad, state.short_open_interest_wad, terms),
        long_index_wad=after.long_index_wad,
        short_index_wad=after.short_index_wad,
        long_open_interest_wad=state.long_open_interest_wad,
        short_open_interest_wad=state.short_open_interest_wad,
        price_wad=price_wad,
        elapsed_seconds=elapsed,
        settled_at=slot_at,
    )

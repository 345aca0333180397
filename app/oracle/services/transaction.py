"""Update bytes for a transaction: fetched now and verified as the contract will, before any gas is paid."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from app.oracle.adapters.hermes import Hermes
from app.oracle.errors import PriceMissing
from app.oracle.maths.verification import require_window, verify_answer
from app.oracle.types.updates import TransactionUpdate, Trust, Window


def latest_update(
    source: Hermes, feeds: Collection[bytes], *, trust: Trust, window: Window, clock: Callable[[], datetime]
) -> TransactionUpdate:
    """The newest update of exactly these feeds, straight from the source and never from a table.

    All or nothing: raises PriceMissing when the source lacks one of them, PriceStale or PriceFromTheFuture for one
    outside the window, UpdateInvalid, or the source's errors. Call it with no transaction open.
    """
    answer = source.latest(feeds)
    if answer.missing:
        raise PriceMissing(feeds=sorted("0x" + feed.hex() for feed in answer.missing))
    now = clock()
    verified = verify_answer(answer.updates, feeds, trust, now)
    prices = tuple(price for update in verified for price in update.prices)
    require_window(prices, window, now)
    return TransactionUpdate(
        data=tuple(update.raw for update in verified),
        message_count=sum(len(update.leaves) for update in answer.updates),
        prices=prices,
    )

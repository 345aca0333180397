"""What the best of an order book says of a price: the middle, and half the spread as the half width of its interval."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Context, Decimal

from app.oracle.errors import SourceAnswerInvalid
from app.oracle.types.sources import Book, Flaw, Reading

# Sums and halves of numbers of at most 30 digits on each side of the point are exact in this.
EXACT = Context(prec=80)
HALF = Decimal("0.5")
_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


def book_reading(symbol: str, source: str, book: Book, received_at: datetime) -> Reading:
    """The book as a reading. A halted market, an empty side, and a book whose bid reaches its ask are no price: nobody
    trades there.
    """
    flaw = book_flaw(book)
    if flaw is not None:
        return Reading(symbol=symbol, source=source, flaw=flaw)
    return Reading(
        symbol=symbol,
        source=source,
        price=EXACT.multiply(EXACT.add(book.bid, book.ask), HALF),
        confidence=EXACT.multiply(EXACT.subtract(book.ask, book.bid), HALF),
        observed_at=book.observed_at or received_at,
    )


def book_flaw(book: Book) -> Flaw | None:
    """Why the book is no price; None when it is one."""
    if book.halted:
        return Flaw.HALTED
    if book.bid <= 0 or book.ask <= 0:
        return Flaw.BOOK_EMPTY
    if book.bid >= book.ask:
        return Flaw.BOOK_CROSSED
    return None


def number(text: str) -> Decimal:
    """A plain decimal as exchanges write them, exactly; raises SourceAnswerInvalid."""
    if not _NUMBER.fullmatch(text):
        raise SourceAnswerInvalid("The exchange wrote a number in another form than agreed.")
    return Decimal(text)

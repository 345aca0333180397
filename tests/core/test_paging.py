"""Cursors: what is written is read back, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.core.paging import Page, decode_cursor, encode_cursor, page_of

KINDS = (UUID, datetime, int, Decimal, str)
KEYS = st.tuples(
    st.uuids(),
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20),
    st.text(max_size=30).filter(lambda s: "\x00" not in s and s.isprintable()),
)


@given(KEYS)
def test_round_trip(key: tuple) -> None:
    assert decode_cursor("jobs", KINDS, encode_cursor("jobs", key)) == key


@given(KEYS, st.data())
def test_any_changed_letter_is_refused(key: tuple, data: st.DataObject) -> None:
    cursor = encode_cursor("jobs", key)
    at = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.sampled_from("Aa0_-=+/ é\n").filter(lambda c: c != cursor[at]))
    with pytest.raises(InvalidInput) as refused:
        decode_cursor("jobs", KINDS, cursor[:at] + letter + cursor[at + 1 :])
    assert refused.value.errors[0]["pointer"] == "?cursor"


@given(st.text(max_size=60))
def test_noise_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("jobs", KINDS, text)


@pytest.mark.parametrize(
    ("kinds", "key"),
    [
        ((UUID,), (7,)),
        ((UUID,), ("urn:uuid:0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff",)),
        ((int,), ("7",)),
        ((int,), (True,)),
        ((int,), (2**63,)),
        ((int,), (1, 2)),
        ((datetime,), ("2026-01-01",)),
        ((Decimal,), ("1e5",)),
        ((str,), ("a\x00b",)),
        ((str,), (None,)),
    ],
)
def test_a_key_of_another_type_is_refused(kinds: tuple, key: tuple) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("jobs", kinds, encode_cursor("jobs", key))


def test_a_cursor_is_good_for_its_own_list_only() -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("schedules", (int,), encode_cursor("jobs", (1,)))


def test_without_a_cursor_there_is_no_key() -> None:
    assert decode_cursor("jobs", (int,), None) is None


@pytest.mark.parametrize(("rows", "more"), [(0, False), (2, False), (3, True)])
def test_one_row_more_than_asked_for_means_another_page(rows: int, more: bool) -> None:
    page: Page[int] = page_of(list(range(rows)), limit=2, listing="jobs", key=lambda row: (row,))
    assert len(page.items) == min(rows, 2)
    assert (page.next_cursor is not None) is more
    if more:
        assert decode_cursor("jobs", (int,), page.next_cursor) == (1,)

"""The short form of the matrix's rows about money: no payment is lost, none is made twice, no nonce is missing."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.ground import Ground
from tests.faults.money.bank import open_bank
from tests.faults.money.rows import short

pytestmark = [pytest.mark.flow, pytest.mark.chain]


def test_no_payment_is_lost_and_none_is_made_twice(ground: Ground) -> None:
    with open_bank(ground) as bank:
        (row,) = short(bank, Random(7))  # noqa: S311 - a storm's, not a key's
    assert row.complaints == ()
    assert row.intents == 18

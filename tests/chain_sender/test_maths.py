"""Fees, limits, tracking and revert reasons: tables from the sources, and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from app.chain.errors import BreakerOpen, CostAboveCap, FeeCapReached, SignerHalted, SpendCapReached
from app.chain.maths.fees import (
    dynamic_fees,
    gas_limit_with_margin,
    legacy_fees,
    market_tip_wei,
    max_cost_wei,
    replacement_fees,
)
from app.chain.maths.limits import obstacle
from app.chain.maths.reverts import revert_reason
from app.chain.maths.tracking import Mined, NonceGone, ReorgedOut, Settled, Waiting, missing_nonces, verdict
from app.chain.types.sending import Ledger, Market, Receipt, Sightings, SignerState
from app.chain.types.transactions import Attempt, AttemptOutcome, Effect, Fees, Intent, IntentStatus
from app.core.db import new_id
from tests.chain_sender.desk import POLICY

WEI = st.integers(0, 10**13)
GWEI = 10**9
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = b"\x01" * 20


@given(base=WEI, tip=WEI, floor=WEI, cap=WEI)
def test_dynamic_fees_pay_the_base_and_the_floor_within_the_cap_or_not_at_all(
    base: int, tip: int, floor: int, cap: int
) -> None:
    if cap < base + floor:
        with pytest.raises(FeeCapReached):
            dynamic_fees(base, tip, tip_floor_wei=floor, cap_wei=cap)
        return
    fees = dynamic_fees(base, tip, tip_floor_wei=floor, cap_wei=cap)
    assert fees.tip_wei is not None
    assert floor <= fees.tip_wei <= max(tip, floor)
    assert base + fees.tip_wei <= fees.max_fee_wei <= cap, "the whole tip fits above the base fee"
    if cap >= 2 * base + max(tip, floor):
        assert fees == Fees(2 * base + max(tip, floor), max(tip, floor))


def test_twice_the_base_fee_outlasts_five_full_blocks() -> None:
    """EIP-1559: a full block raises the base fee by 1/8."""
    base, fees = 100 * GWEI, dynamic_fees(100 * GWEI, GWEI, tip_floor_wei=0, cap_wei=10**13)
    for _ in range(5):
        base += base // 8
        assert fees.max_fee_wei >= base + GWEI


@given(max_fee=WEI, tip=WEI, current=WEI, current_tip=WEI, cap=WEI)
def test_a_replacement_raises_both_fields_by_an_eighth_and_never_beyond_the_cap(
    max_fee: int, tip: int, current: int, current_tip: int, cap: int
) -> None:
    old, now = Fees(max(max_fee, tip), tip), Fees(max(current, current_tip), current_tip)
    try:
        new = replacement_fees(old, now, cap_wei=cap)
    except FeeCapReached:
        assert max(-(-old.max_fee_wei * 9 // 8), old.max_fee_wei + 1, now.max_fee_wei) > cap
        return
    assert new.tip_wei is not None
    assert new.max_fee_wei <= cap
    assert new.max_fee_wei * 8 >= old.max_fee_wei * 9
    assert new.tip_wei * 8 >= tip * 9
    assert (new.max_fee_wei > old.max_fee_wei, new.tip_wei > tip) == (True, True), "strictly more, also from zero"
    assert (new.max_fee_wei >= now.max_fee_wei, new.tip_wei >= current_tip) == (True, True)
    assert new.tip_wei <= new.max_fee_wei


@given(price=WEI, current=WEI)
def test_a_legacy_replacement_raises_the_price(price: int, current: int) -> None:
    new = replacement_fees(Fees(price, None), Fees(current, None), cap_wei=10**14)
    assert new.tip_wei is None
    assert new.max_fee_wei * 8 >= price * 9
    assert new.max_fee_wei >= current


def test_legacy_fees_keep_floor_and_cap() -> None:
    assert legacy_fees(5, floor_wei=7, cap_wei=9) == Fees(7, None)
    with pytest.raises(FeeCapReached):
        legacy_fees(10, floor_wei=7, cap_wei=9)


@pytest.mark.parametrize(("rewards", "tip"), [([], 0), ([0, 0], 0), ([3, 1, 2], 2), ([1, 0, 9], 9), ([5], 5)])
def test_the_markets_tip_is_the_middle_of_those_paid(rewards: list[int], tip: int) -> None:
    assert market_tip_wei(rewards) == tip


def test_gas_and_cost_round_up() -> None:
    assert gas_limit_with_margin(21_001, 2_000) == 25_202  # 25,201.2
    assert max_cost_wei(21_000, Fees(3, 1), 7) == 63_007


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "reverted without a reason"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["too late"]), "too late"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["é\x00\n"]), "é\ufffd\ufffd"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), "panic 0x11"),
        (bytes.fromhex("19abf40e"), "custom error 0x19abf40e"),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "custom error 0x08c379a0" + "ff" * 64),
    ],
)
def test_revert_reasons(data: bytes, reason: str) -> None:
    assert revert_reason(data) == reason


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reason(data: bytes) -> None:
    for prefix in (b"", bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")):
        assert revert_reason(prefix + data).isprintable()


STATE = SignerState(
    chain_id=1,
    address=SIGNER,
    next_nonce=0,
    seen_block=0,
    halt_reason=None,
    breaker_reason=None,
    breaker_reset_at=None,
)
CAPPED = replace(POLICY, max_spend_per_hour_wei=100, breaker_min_mined=4, breaker_max_reverted_bps=5_000)


@pytest.mark.parametrize(
    ("state", "ledger", "cost", "expected"),
    [
        (STATE, Ledger(0, 0, 0, 0), 100, None),
        (STATE, Ledger(0, 0, 0, 0), 101, CostAboveCap),
        (STATE, Ledger(50, 0, 0, 0), 50, None),
        (STATE, Ledger(50, 0, 0, 0), 51, BreakerOpen),
        (STATE, Ledger(50, 20, 0, 0), 30, None),
        (STATE, Ledger(50, 20, 0, 0), 31, SpendCapReached),
        (STATE, Ledger(0, 0, 3, 3), 1, None),
        (STATE, Ledger(0, 0, 4, 2), 1, None),
        (STATE, Ledger(0, 0, 4, 3), 1, BreakerOpen),
        (replace(STATE, breaker_reason="x"), Ledger(0, 0, 0, 0), 1, BreakerOpen),
        (replace(STATE, halt_reason="x"), Ledger(0, 0, 0, 0), 1, SignerHalted),
    ],
)
def test_limits(state: SignerState, ledger: Ledger, cost: int, expected: type[Exception] | None) -> None:
    found = obstacle(state, ledger, cost, CAPPED)
    assert found is None if expected is None else isinstance(found, expected)


@given(spent=WEI, committed=WEI, cost=WEI, cap=WEI)
def test_no_burst_gets_past_the_cap(spent: int, committed: int, cost: int, cap: int) -> None:
    policy = replace(POLICY, max_spend_per_hour_wei=cap)
    if obstacle(STATE, Ledger(spent, committed, 0, 0), cost, policy) is None:
        assert spent + committed + cost <= cap


def test_missing_nonces() -> None:
    assert missing_nonces(3, 3, frozenset()) == ()
    assert missing_nonces(3, 7, frozenset({3, 5})) == (4, 6)
    assert missing_nonces(9, 7, frozenset()) == ()


def _intent(**changes: Any) -> Intent:
    values: dict[str, Any] = dict.fromkeys(Intent.__dataclass_fields__)
    values |= {"id": new_id(), "chain_id": 1, "signer": SIGNER, "action": "a", "subject": "s", "purpose": "p"}
    values |= {"to": SIGNER, "data": b"", "value_wei": 0, "status": IntentStatus.BROADCAST, "nonce": 5}
    values |= {"created_at": NOW, "updated_at": NOW}
    return Intent(**(values | changes))


def _attempt(intent: Intent, number: int = 1, effect: Effect = Effect.CALL) -> Attempt:
    return Attempt(
        intent_id=intent.id,
        number=number,
        chain_id=1,
        signer=SIGNER,
        nonce=5,
        effect=effect,
        hash=bytes([number]) * 32,
        raw=b"",
        gas_limit=1,
        fees=Fees(1, 1),
        created_at=NOW - timedelta(seconds=1),
        first_broadcast_at=None,
        last_broadcast_at=None,
        outcome=AttemptOutcome.SENT,
        refusal=None,
    )


def _seen(*receipts: Receipt, head: int = 100, settled_nonce: int = 0, canonical: bool = True) -> Sightings:
    market = Market(head=head, base_fee_wei=1, tip_wei=1, gas_price_wei=1, latest_nonce=0, pending_nonce=0)
    blocks = {receipt.block_number: receipt.block_hash if canonical else b"x" * 32 for receipt in receipts}
    found = {receipt.transaction_hash: receipt for receipt in receipts}
    return Sightings(market=market, settled_nonce=settled_nonce, receipts=found, canonical=blocks)


def _receipt(attempt: Attempt, block: int, status: int = 1) -> Receipt:
    return Receipt(attempt.hash, block, b"b" * 32, status, 1, 1)


@given(block=st.integers(80, 100), confirmations=st.integers(1, 15), status=st.integers(0, 1), cancel=st.booleans())
def test_an_inclusion_settles_at_its_depth(block: int, confirmations: int, status: int, cancel: bool) -> None:
    intent = _intent()
    attempt = _attempt(intent, effect=Effect.CANCEL if cancel else Effect.CALL)
    receipt = _receipt(attempt, block, status)
    found = verdict(intent, [attempt], _seen(receipt), confirmations=confirmations)
    if 100 - block < confirmations:
        assert found == Mined(attempt, receipt)
    else:
        end = [IntentStatus.REVERTED, IntentStatus.FINAL][status]
        assert found == Settled(attempt, receipt, IntentStatus.CANCELLED if cancel else end)


@given(settled_nonce=st.integers(0, 10), status=st.sampled_from([IntentStatus.SIGNED, IntentStatus.BROADCAST]))
def test_a_nonce_is_gone_only_when_the_settled_count_has_passed_it(settled_nonce: int, status: IntentStatus) -> None:
    intent = _intent(status=status)
    found = verdict(intent, [_attempt(intent)], _seen(settled_nonce=settled_nonce), confirmations=2)
    assert found == (NonceGone(None) if settled_nonce > 5 else Waiting())


def test_verdicts_that_wait() -> None:
    intent = _intent()
    attempt = _attempt(intent)
    receipt = _receipt(attempt, 90)
    assert verdict(intent, [attempt], _seen(receipt, canonical=False), confirmations=2) == Waiting()
    mined = _intent(status=IntentStatus.MINED, block_number=90)
    assert verdict(mined, [], _seen(head=89), confirmations=2) == Waiting()
    assert verdict(mined, [], _seen(head=90), confirmations=2) == ReorgedOut()
    assert verdict(_intent(nonce=None), [], _seen(), confirmations=2) == Waiting()
    other = _attempt(_intent(), 2)
    assert verdict(intent, [attempt, other], _seen(_receipt(other, 99)), confirmations=2) == Waiting()
    assert verdict(intent, [attempt, other], _seen(_receipt(other, 98)), confirmations=2) == NonceGone(other)

"""What to pay for gas: EIP-1559 and legacy prices, replacement bumps, and the most a transaction may cost. Pure.

Sources: EIP-1559 (a block's base fee rises by at most 1/8 over the one before, and the whole tip fits under the fee);
go-ethereum's pool (`core/txpool/legacypool/list.go`), where a replacement must raise the fee and the tip, both, by at
least 10 %. Nethermind and some providers want 12.5 %, so that is the step here.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_high

from app.chain.errors import FeeCapReached
from app.chain.types.sending import Market
from app.chain.types.transactions import Fees

BUMP_NUMERATOR, BUMP_DENOMINATOR = 9, 8
BPS = 10_000


def market_tip_wei(rewards_wei: Sequence[int]) -> int:
    """The middle of recent blocks' tips at one percentile, the higher of two; 0 when no block paid any."""
    paid = [reward for reward in rewards_wei if reward > 0]
    return median_high(paid) if paid else 0


def dynamic_fees(base_fee_wei: int, tip_wei: int, *, tip_floor_wei: int, cap_wei: int) -> Fees:
    """EIP-1559 fees: 2 × base + tip, so that six full blocks in a row do not price it out; never above `cap_wei`.

    The tip is raised to its floor and lowered to what the cap leaves above the base fee. Raises FeeCapReached when the
    cap does not cover the base fee and the floor: such a transaction would only wait, and hold up the ones behind it.
    """
    if cap_wei < base_fee_wei + tip_floor_wei:
        raise FeeCapReached(needed_wei=str(base_fee_wei + tip_floor_wei), cap_wei=str(cap_wei))
    tip = min(max(tip_wei, tip_floor_wei), cap_wei - base_fee_wei)
    return Fees(max_fee_wei=min(2 * base_fee_wei + tip, cap_wei), tip_wei=tip)


def legacy_fees(gas_price_wei: int, *, floor_wei: int, cap_wei: int) -> Fees:
    """The node's gas price, not below the floor; raises FeeCapReached when that is above `cap_wei`."""
    price = max(gas_price_wei, floor_wei)
    if price > cap_wei:
        raise FeeCapReached(needed_wei=str(price), cap_wei=str(cap_wei))
    return Fees(max_fee_wei=price, tip_wei=None)


def fresh_price_wei(market: Market, tip_floor_wei: int) -> int:
    """What a unit of gas would be offered for now, were there no cap."""
    if market.base_fee_wei is None:
        return max(market.gas_price_wei, tip_floor_wei)
    return 2 * market.base_fee_wei + max(market.tip_wei, tip_floor_wei)


def replacement_fees(previous: Fees, current: Fees, *, cap_wei: int) -> Fees:
    """Fees that replace `previous` in any pool: both at least 9/8 of the old, rounded up, and not below `current`.

    Raises FeeCapReached when that is above `cap_wei`: the old transaction then stays as it is.
    """
    max_fee = max(_step(previous.max_fee_wei), current.max_fee_wei)
    if max_fee > cap_wei:
        raise FeeCapReached(needed_wei=str(max_fee), cap_wei=str(cap_wei))
    if previous.tip_wei is None:
        return Fees(max_fee_wei=max_fee, tip_wei=None)
    tip = max(_step(previous.tip_wei), current.tip_wei or 0)
    return Fees(max_fee_wei=max_fee, tip_wei=tip)


def _step(wei: int) -> int:
    """One bump, rounded up; a pool wants strictly more, so 0 becomes 1."""
    return max(-(-wei * BUMP_NUMERATOR // BUMP_DENOMINATOR), wei + 1)


def gas_limit_with_margin(estimate: int, margin_bps: int) -> int:
    """The node's estimate plus a margin, rounded up: state may move between the estimate and the block."""
    return -(-estimate * (BPS + margin_bps) // BPS)


def max_cost_wei(gas_limit: int, fees: Fees, value_wei: int) -> int:
    """The most that a transaction can take from its signer."""
    return gas_limit * fees.max_fee_wei + value_wei


def spent_wei(gas_used: int, gas_price_wei: int, value_wei: int) -> int:
    """What a mined transaction took; `value_wei` is 0 for one that reverted, for it comes back."""
    return gas_used * gas_price_wei + value_wei

"""What the perps' jobs give as their results: plain JSON, bounded in length."""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.perps.services.accounts import JudgedAccount
from app.perps.services.health import Checked
from app.perps.services.shown import show_position, shown_wad
from app.perps.types.keeper import Attempt, Fate, ScanReport
from app.perps.types.orders import Order

SHOWN = 100
SIMULATED = {Fate.PLANNED: "liquidatable"}  # asked only, and nothing was planned


def show_checked(checked: Checked) -> dict[str, Any]:
    """Positions with their health, and what the contract said of the uncertain ones."""
    return {
        "positions": [show_position(one) for one in checked.judged[:SHOWN]],
        "count": len(checked.judged),
        "more": checked.cut,
        "accounts": [show_account(one) for one in checked.accounts],
        "simulated": {key: SIMULATED.get(fate, str(fate)) for key, fate in checked.simulated.items()},
    }


def show_account(one: JudgedAccount) -> dict[str, Any]:
    """An account of cross margin: a snapshot, and how far prices may move before it has to be looked at again."""
    health = one.health
    return {
        "protocol": one.protocol,
        "user_address": "0x" + one.owner.hex(),
        "balance": shown_wad(health.balance_wad),
        "unrealized_pnl": shown_wad(health.unrealized_pnl_wad),
        "unsettled_funding": shown_wad(health.funding_wad),
        "equity": shown_wad(health.equity_wad),
        "maintenance_margin": shown_wad(health.maintenance_wad),
        "liquidatable": health.is_liquidatable,
        "health_factor": None if health.health_factor is None else format(health.health_factor, "f"),
        "drift_bound": None if health.drift_bound is None else format(health.drift_bound, "f"),
    }


def show_scan(report: ScanReport) -> dict[str, Any]:
    """How many markets were looked at, which could not be and why, and each candidate's fate."""
    return {
        "markets": report.markets,
        "unpriced": dict(report.unpriced),
        "fates": dict(Counter(str(one.fate) for one in report.attempts)),
        "attempts": [show_attempt(one) for one in report.attempts[:SHOWN]],
        "more": report.cut,
    }


def show_attempt(one: Attempt) -> dict[str, Any]:
    """What became of a position or an order that the keeper looked at."""
    return {
        "order" if isinstance(one.target, Order) else "position": one.target.key,
        "market_id": one.target.market_id,
        "fate": str(one.fate),
        "detail": one.detail,
        "verdict": None if one.health is None else str(one.health.verdict),
        "shortfall": None if one.health is None else shown_wad(one.health.shortfall_wad),
        "bonus": shown_wad(one.bonus_wad),
        "cost": shown_wad(one.cost_wad),
        "intent_id": None if one.intent_id is None else str(one.intent_id),
    }

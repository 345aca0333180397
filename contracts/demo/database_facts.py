"""What the tables say, under the same names as the contract's own facts."""

from __future__ import annotations

from contracts.demo.chain_facts import Facts
from contracts.demo.database import Row, Snapshot, hexadecimal

# The contract's name of a value, and the column that holds it.
MARKET_COLUMNS = {
    "symbol": "symbol",
    "base_token": "base_token",
    "quote_token": "quote_token",
    "max_leverage": "max_leverage_wad",
    "maintenance_margin_rate": "maintenance_margin_rate_wad",
    "liquidation_fee_rate": "liquidation_fee_rate_wad",
    "open_fee_rate": "open_fee_rate_wad",
    "close_fee_rate": "close_fee_rate_wad",
    "funding_factor_per_second": "funding_factor_per_second_wad",
    "max_funding_rate_per_second": "max_funding_rate_per_second_wad",
    "max_price_age_seconds": "max_price_age_seconds",
    "max_confidence_bps": "max_confidence_bps",
    "long_open_interest": "total_long_wad",
    "short_open_interest": "total_short_wad",
    "funding_rate": "current_funding_rate_wad",
    "long_funding_index": "long_funding_index_wad",
    "short_funding_index": "short_funding_index_wad",
}
OPEN_COLUMNS = {
    "size": "size_wad",
    "collateral": "collateral_wad",
    "entry_price": "entry_price_wad",
    "entry_funding_index": "entry_funding_index_wad",
}
ENDED_COLUMNS = {
    "size": "size_wad",
    "exit_price": "exit_price_wad",
    "realized_pnl": "realized_pnl_wad",
    "funding_paid": "accumulated_funding_wad",
}
LIQUIDATION_COLUMNS = {
    "price": "price_wad",
    "size": "size_wad",
    "liquidation_fee": "fee_wad",
    "realized_pnl": "realized_pnl_wad",
    "funding_paid": "funding_paid_wad",
    "bad_debt": "bad_debt_wad",
    "insurance_paid": "insurance_paid_wad",
    "block": "block_number",
}


ORDER_COLUMNS = {
    "size": "size_wad",
    "collateral": "collateral_wad",
    "trigger_price": "trigger_price_wad",
    "execution_fee": "execution_fee_wad",
}
EXECUTED_COLUMNS = {"price": "executed_price_wad", "executed_size": "executed_size_wad"}


def database_facts(snapshot: Snapshot) -> Facts:
    """Every market, position, order and liquidation, and the money that the exchange must hold by these rows."""
    facts: Facts = {
        "markets": len(snapshot.markets),
        "positions": len(snapshot.positions),
        "orders": len(snapshot.orders),
        "escrow": sum(_held(row) for row in snapshot.orders if row["status"] == "open"),
        "liquidations": len(snapshot.liquidations),
        "pool beyond its deposits": _pool(snapshot),
        "insurance beyond its deposits": -sum(int(row["insurance_paid_wad"]) for row in snapshot.liquidations),
    }
    for row in snapshot.markets:
        facts |= _market(row, snapshot.settlements.get(row["market_id"], 0))
    for row in snapshot.positions:
        facts |= _position(row)
    for row in snapshot.orders:
        facts |= _order(row)
    for row in snapshot.liquidations:
        name = f"liquidation of {row['position_key']}"
        facts |= _named(name, row, LIQUIDATION_COLUMNS) | {f"{name} liquidator": hexadecimal(row["liquidator"])}
    return facts


def _market(row: Row, settlements: int) -> Facts:
    name = f"market {row['market_id']}"
    return _named(name, row, MARKET_COLUMNS) | {
        f"{name} pyth_price_id": hexadecimal(row["pyth_price_id"]),
        f"{name} funding_settled_at": int(row["last_funding_update"].timestamp()),
        f"{name} settlements": settlements,
    }


def _position(row: Row) -> Facts:
    name = f"position {row['key']}"
    facts: Facts = {
        f"{name} status": row["status"],
        f"{name} owner": hexadecimal(row["user_address"]),
        f"{name} market": int(row["market_id"]),
        f"{name} side": row["side"],
    }
    if row["status"] == "open":
        return facts | _named(name, row, OPEN_COLUMNS)
    return facts | _named(name, row, ENDED_COLUMNS) | {f"{name} ended in": hexadecimal(row["transaction_hash"])}


def _held(row: Row) -> int:
    """What an order holds while it waits."""
    return int(row["collateral_wad"] + row["execution_fee_wad"])


def _order(row: Row) -> Facts:
    name = f"order {row['key']}"
    facts = _named(name, row, ORDER_COLUMNS) | {
        f"{name} status": row["status"],
        f"{name} kind": row["kind"],
        f"{name} owner": hexadecimal(row["user_address"]),
        f"{name} market": int(row["market_id"]),
        f"{name} side": row["side"],
        f"{name} position": int(row["position_key"] or 0),
    }
    if row["status"] != "executed":
        return facts
    keeper = hexadecimal(row["keeper"])
    ended = hexadecimal(row["transaction_hash"])
    return facts | _named(name, row, EXECUTED_COLUMNS) | {f"{name} keeper": keeper, f"{name} ended in": ended}


def _named(name: str, row: Row, columns: dict[str, str]) -> Facts:
    values = {value: row[column] for value, column in columns.items()}
    return {f"{name} {value}": found if isinstance(found, str) else int(found) for value, found in values.items()}


def _pool(snapshot: Snapshot) -> int:
    """What positions have brought the pool, which wins what traders lose and pays for what they win.

    It takes every opening and closing fee, and what was lost by a closing, of a part too. From a liquidation it takes
    what came in (the collateral and the insurance's part) less what went out: the liquidator's bonus, and to the owner
    what equity was left above it.
    """
    liquidations = {row["position_key"]: row for row in snapshot.liquidations}
    total = 0
    for row in snapshot.positions:
        fees, lost = int(row["fees_wad"]), int(row["accumulated_funding_wad"]) - int(row["realized_pnl_wad"])
        ended = liquidations.get(row["key"])
        if ended is None:
            total += fees + lost
            continue
        by_parts = lost - int(ended["funding_paid_wad"]) + int(ended["realized_pnl_wad"])
        total, lost = total + by_parts, lost - by_parts
        collateral, bonus = int(row["collateral_wad"]), int(ended["fee_wad"])
        equity = max(collateral - lost, 0)
        total += fees - min(bonus, equity)  # of the row's fees, the bonus is the liquidator's
        total += collateral + int(ended["insurance_paid_wad"]) - bonus - max(equity - bonus, 0)
    return total

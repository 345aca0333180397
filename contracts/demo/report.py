"""What happened, as `.run/demo.json` holds it and as a table for people; every number is counted from the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from contracts.demo.agreement import Agreement
from contracts.demo.database import PROTOCOL, Database, Row, hexadecimal

Report = dict[str, Any]

JOBS = """
    WITH every_job AS (SELECT kind, status FROM jobs UNION ALL SELECT kind, status FROM jobs_archive)
    SELECT kind, status, count(*) AS jobs FROM every_job GROUP BY kind, status ORDER BY kind, status
"""
BAD_JOBS = """
    WITH every_job AS (
        SELECT id, kind, status, error FROM jobs UNION ALL SELECT id, kind, status, error FROM jobs_archive
    )
    SELECT id, kind, status, error ->> 'code' AS code, error ->> 'detail' AS detail
    FROM every_job WHERE status IN ('failed', 'in_doubt') ORDER BY id
"""
SETTLEMENTS = "SELECT count(*) FROM perps_funding_rates WHERE protocol = %(protocol)s"
EVENTS = "SELECT count(*) FROM chain_events"
PRICES = "SELECT count(*) FROM oracle_prices"
FUNDING = """
    SELECT f.market_id, m.symbol, f.transaction_hash, i.job_id
    FROM perps_funding_rates f
    JOIN perps_markets m USING (protocol, market_id)
    JOIN chain_intents i ON i.transaction_hash = f.transaction_hash AND i.action = 'settle_funding'
    WHERE f.protocol = %(protocol)s ORDER BY f.block_number, f.log_index
"""
POSITIONS = """
    SELECT p.key, m.symbol, p.side, p.status, p.leverage_wad, p.opened_transaction_hash, p.transaction_hash, i.job_id
    FROM perps_positions p
    JOIN perps_markets m USING (protocol, market_id)
    LEFT JOIN chain_intents i ON p.status = 'liquidated' AND i.transaction_hash = p.transaction_hash
    WHERE p.protocol = %(protocol)s ORDER BY p.opened_block_number, p.opened_log_index
"""


ORDERS = """
    SELECT o.key, m.symbol, o.kind, o.side, o.status, o.position_key, o.trigger_price_wad, o.executed_price_wad,
           o.executed_size_wad, o.transaction_hash, i.job_id
    FROM perps_orders o
    JOIN perps_markets m USING (protocol, market_id)
    LEFT JOIN chain_intents i ON o.status = 'executed' AND i.transaction_hash = o.transaction_hash
    WHERE o.protocol = %(protocol)s ORDER BY o.created_block_number, o.created_log_index
"""
# In milliseconds; a block's time is in whole seconds and may lie just before the broadcast.
LATENCY = """
    WITH spans AS (
        SELECT detected_at - price_published_at AS detection, broadcast_at - detected_at AS broadcast,
               greatest(included_at - broadcast_at, interval '0') AS inclusion
        FROM perps_keeper_actions WHERE protocol = %(protocol)s AND included_at IS NOT NULL
    )
    SELECT step, count(*) AS transactions,
           round(1000 * extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY span)))::integer AS p50_ms,
           round(1000 * extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY span)))::integer AS p95_ms
    FROM spans CROSS JOIN LATERAL
         (VALUES (1, 'detection', detection), (2, 'broadcast', broadcast), (3, 'inclusion', inclusion))
         AS steps (place, step, span)
    GROUP BY place, step ORDER BY place
"""


def report_of(
    database: Database,
    agreement: Agreement,
    client_jobs: Sequence[Mapping[str, Any]],
    replay: Mapping[str, Any],
    seed: int,
) -> Report:
    """Everything that is to be told; `replay` is what `manage.py replay` said of all the blocks.

    `ok`: nothing differed, no job failed, and the client's all succeeded.
    """
    failed = database.rows(BAD_JOBS)
    first, last = database.find_range()
    return {
        "ok": not agreement.differences and not failed and all(job["status"] == "succeeded" for job in client_jobs),
        "seed": seed,
        "agreement": asdict(agreement),
        "jobs": [dict(row) for row in database.rows(JOBS)],
        "failed_jobs": [{**row, "id": str(row["id"])} for row in failed],
        "client_jobs": [{name: job[name] for name in ("kind", "id", "status")} for job in client_jobs],
        "blocks": {"first": first, "last": last, "indexed": last - first + 1},
        "events": database.count(EVENTS),
        "prices": database.count(PRICES),
        "settlements": database.count(SETTLEMENTS, protocol=PROTOCOL),
        "funding": [_deed(row) | {"market": row["symbol"]} for row in database.rows(FUNDING, protocol=PROTOCOL)],
        "orders": [_order(row) for row in database.rows(ORDERS, protocol=PROTOCOL)],
        "latency": [dict(row) for row in database.rows(LATENCY, protocol=PROTOCOL)],
        "replay": dict(replay),
        "blocks_to_liquidation": _blocks(replay),
        "positions": [_position(row) for row in database.rows(POSITIONS, protocol=PROTOCOL)],
    }


def _deed(row: Row) -> Report:
    """A transaction and the job that sent it; none for what traders did themselves."""
    job_id = row["job_id"]
    return {"transaction": hexadecimal(row["transaction_hash"]), "job": str(job_id) if job_id else None}


def _position(row: Row) -> Report:
    ended = {} if row["status"] == "open" else {"ended": _deed(row)}
    return {
        "position": row["key"],
        "market": row["symbol"],
        "side": row["side"],
        "status": row["status"],
        "leverage": f"{row['leverage_wad'].scaleb(-18):.1f}",
        "opened": hexadecimal(row["opened_transaction_hash"]),
        **ended,
    }


def _blocks(replay: Mapping[str, Any]) -> list[int]:
    """Of each position that was liquidated, the blocks from the price that endangered it to its end; sorted.

    No fewer than there were: they count from the newest block before the price whose time the tables know.
    """
    return sorted(
        one["ended_block_number"] - one["block_number"]
        for one in replay["would_have_been_liquidated"]
        if one["liquidation"] is not None
    )


def _order(row: Row) -> Report:
    price, size = row["executed_price_wad"], row["executed_size_wad"]
    return {
        "order": row["key"],
        "position": row["position_key"],
        "market": row["symbol"],
        "kind": row["kind"],
        "side": row["side"],
        "status": row["status"],
        "trigger_price": f"{row['trigger_price_wad'].scaleb(-18):.2f}",
        "executed_price": None if price is None else f"{price.scaleb(-18):.2f}",
        "executed_size": None if size is None else f"{size.scaleb(-18):.4f}",
        **_deed(row),
    }


def table(report: Report) -> str:
    """The report for a person."""
    lines = ["", f"{'job kind':<28} {'status':<11} {'jobs':>5}"]
    lines += [f"{row['kind']:<28} {row['status']:<11} {row['jobs']:>5}" for row in report["jobs"]]
    lines += ["", "what a client submitted"]
    lines += [f"  {job['kind']:<26} {job['status']:<11} job {job['id']}" for job in report["client_jobs"]]
    blocks = report["blocks"]
    lines += ["", f"blocks indexed      {blocks['indexed']} ({blocks['first']} to {blocks['last']})"]
    lines += [f"events indexed      {report['events']}", f"prices recorded     {report['prices']}"]
    lines += [f"positions opened    {len(report['positions'])}"]
    lines += ["", f"funding settled     {report['settlements']}, by the keeper {len(report['funding'])}"]
    lines += [f"  {one['market']:<8} {one['transaction']} job {one['job']}" for one in report["funding"]]
    lines += _order_lines(report["orders"])
    for status in ("open", "closed", "liquidated"):
        lines += _position_lines(status, [each for each in report["positions"] if each["status"] == status])
    lines += [*_replay_lines(report["replay"]), *_latency_lines(report["latency"], report["blocks_to_liquidation"])]
    return "\n".join([*lines, "", *_verdict(report)])


def _order_lines(orders: Sequence[Report]) -> list[str]:
    lines = ["", f"{'orders':<20}{len(orders)}"]
    for one in orders:
        name = f"{one['order']:>4} {one['market']:<8} {one['side']:<5} {one['kind']:<11} of {one['position'] or '-':>3}"
        what = f"at {one['trigger_price']:>9}"
        if one["status"] == "executed":
            what += f", executed at {one['executed_price']} {one['transaction']} job {one['job']}"
        lines.append(f"  {name} {what}{'' if one['status'] == 'executed' else ', ' + one['status']}")
    return lines


def _replay_lines(replay: Mapping[str, Any]) -> list[str]:
    found = replay["would_have_been_liquidated"]
    lines = ["", f"replay of blocks {replay['from_block']} to {replay['to_block']}: {len(found)} to be liquidated"]
    for one in found:
        ended = f" in block {one['ended_block_number']}" if one["ended_block_number"] is not None else ""
        lines.append(
            f"  {one['position']:>4} from block {one['block_number']} at {one['price']}, short of {one['shortfall']};"
            f" it was {one['status']}{ended}"
        )
    return lines


def _latency_lines(latency: Sequence[Report], blocks: Sequence[int]) -> list[str]:
    lines = ["", "the keeper's latency"]
    lines += [
        f"  {one['step']:<10} p50 {one['p50_ms']:>6} ms  p95 {one['p95_ms']:>6} ms  of {one['transactions']}"
        for one in latency
    ]
    if blocks:
        lines.append(f"  price to liquidation: p50 at most {blocks[len(blocks) // 2]} blocks, all {blocks[-1]}")
    return lines


def _position_lines(status: str, positions: Sequence[Report]) -> list[str]:
    lines = ["", f"{'still open' if status == 'open' else status:<20}{len(positions)}"]
    for one in positions:
        deed = one.get("ended", {"transaction": one["opened"], "job": None})
        job = f" job {deed['job']}" if deed["job"] else ""
        name = f"{one['position']:>4} {one['market']:<8} {one['side']:<5} {one['leverage']:>4}x"
        lines.append(f"  {name} {deed['transaction']}{job}")
    return lines


def _verdict(report: Report) -> list[str]:
    found = report["agreement"]
    lines = [f"FAILED  {job['kind']} {job['id']}: {job['code']}: {job['detail']}" for job in report["failed_jobs"]]
    lines += [
        f"DIFFERS {one['what']}: the contract says {one['chain']}, the database {one['database']}"
        for one in found["differences"]
    ]
    outcome = "agree" if not found["differences"] else "DO NOT AGREE"
    at = f"block {found['block_number']} ({found['block_hash']})"
    return [*lines, f"Chain and database {outcome} on {found['values']} values at {at}."]

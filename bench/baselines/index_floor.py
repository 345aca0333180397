"""The floor of indexing: what a careful person would write by hand for this one event, and nothing more.

Plain pooled requests, orjson, fixed windows of 1,000 blocks one after the other, words cut by hand, typed columns by
COPY into a table with a primary key. No headers, no reorg safety, no cursor, no completeness check.

`python -m bench.baselines.index_floor RPC DSN ADDRESS TOPIC FIRST LAST`
"""

from __future__ import annotations

import io
import sys
from typing import Any

import orjson
import psycopg2
import requests

WINDOW = 1_000
TABLE = """
CREATE TABLE IF NOT EXISTS floor_events (
    block_number bigint, log_index integer, transaction_hash text, position_id numeric, owner text, market_id numeric,
    is_long boolean, size numeric, entry_price numeric, collateral numeric, fee numeric, entry_funding_index numeric,
    price_publish_time bigint, PRIMARY KEY (block_number, log_index)
)
"""


def row(log: dict[str, Any]) -> str:
    """One event as a line for COPY."""
    topics, data = log["topics"], log["data"]
    words = [int(data[start : start + 64], 16) for start in range(2, 450, 64)]
    index = words[5] - (1 << 256) if words[5] >> 255 else words[5]
    return (
        f"{int(log['blockNumber'], 16)}\t{int(log['logIndex'], 16)}\t{log['transactionHash']}\t{int(topics[1], 16)}\t"
        f"0x{topics[2][26:]}\t{int(topics[3], 16)}\t{bool(words[0])}\t{words[1]}\t{words[2]}\t{words[3]}\t{words[4]}\t"
        f"{index}\t{words[6]}\n"
    )


def main() -> None:
    """Read the range, window by window, and write it."""
    url, dsn, address, topic, first, last = sys.argv[1:]
    session = requests.Session()
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    rows = 0
    for start in range(int(first), int(last) + 1, WINDOW):
        query = {
            "address": address,
            "topics": [topic],
            "fromBlock": hex(start),
            "toBlock": hex(min(start + WINDOW - 1, int(last))),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
        answer = session.post(url, data=orjson.dumps(body), headers={"Content-Type": "application/json"}, timeout=60)
        lines = [row(log) for log in orjson.loads(answer.content)["result"]]
        cursor.copy_expert("COPY floor_events FROM STDIN", io.StringIO("".join(lines)))
        connection.commit()
        rows += len(lines)
    connection.close()
    sys.stdout.write(f"{rows}\n")


if __name__ == "__main__":
    main()

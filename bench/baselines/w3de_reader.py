"""web3-ethereum-defi 1.2 reading the benchmark's event into Postgres, by its documentation's own way: its reader with a
pool of threads, words cut by hand, no timestamps. Written a batch at a time: by psycopg2's `execute_values`, as most
who fill Postgres do, or by COPY, as the floor does.

Runs under a Python of its own (`bench.peers` makes it), for its web3 cannot be installed beside ours.

`python w3de_reader.py values|copy RPC DSN ABI ADDRESS FIRST LAST`
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import psycopg2
from eth_defi.event_reader.conversion import convert_int256_bytes_to_int, convert_uint256_bytes_to_address, decode_data
from eth_defi.event_reader.filter import Filter
from eth_defi.event_reader.multithread import MultithreadEventReader
from hexbytes import HexBytes
from psycopg2.extras import execute_values
from web3 import HTTPProvider, Web3

WINDOW, THREADS, BATCH = 1_000, 8, 10_000
TABLE = """
CREATE TABLE IF NOT EXISTS w3de_events (
    block_number bigint, log_index integer, transaction_hash text, position_id numeric, owner text, market_id numeric,
    is_long boolean, size numeric, entry_price numeric, collateral numeric, fee numeric, entry_funding_index numeric,
    price_publish_time bigint, PRIMARY KEY (block_number, log_index)
)
"""


def row(log: dict[str, Any]) -> tuple[object, ...]:
    """One event as the table has it."""
    topics, words = log["topics"], decode_data(log["data"])
    owner = convert_uint256_bytes_to_address(HexBytes(topics[2]))
    numbers = [int.from_bytes(word, "big") for word in words]
    index = convert_int256_bytes_to_int(words[5], signed=True)
    fields = (bool(numbers[0]), *numbers[1:5], index, numbers[6])
    place = (log["blockNumber"], log["logIndex"], log["transactionHash"])
    return (*place, int(topics[1], 16), owner, int(topics[3], 16), *fields)


def main() -> None:
    """Read the range and write it, a batch at a time."""
    way, url, dsn, abi, address, first, last = sys.argv[1:]
    web3 = Web3(HTTPProvider(url))
    contract = web3.eth.contract(abi=json.loads(Path(abi).read_text()))
    wanted = Filter.create_filter(address, [contract.events.PositionOpened])
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    rows = 0
    batch: list[tuple[object, ...]] = []

    def write() -> None:
        if way == "copy":
            lines = "".join("\t".join(map(str, one)) + "\n" for one in batch)
            cursor.copy_expert("COPY w3de_events FROM STDIN", io.StringIO(lines))
        else:
            execute_values(cursor, "INSERT INTO w3de_events VALUES %s", batch, page_size=1_000)
        connection.commit()
        batch.clear()

    reader = MultithreadEventReader(url, max_threads=THREADS, max_blocks_once=WINDOW)
    for log in reader(web3, int(first), int(last), filter=wanted):
        batch.append(row(log))
        rows += 1
        if len(batch) == BATCH:
            write()
    write()
    reader.close()
    connection.close()
    sys.stdout.write(f"{rows}\n")


if __name__ == "__main__":
    main()

"""`manage.py bench rpc`: a batch of calls to a local node, beside web3's `batch_requests`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3

from app.chain.adapters.logs import read_headers
from app.chain.adapters.rpc import Call, Provider
from bench.index_chain import CHAIN_ID, chain_with
from bench.machine import describe
from bench.report import Report, Row, compared
from bench.stand import standing

PARTS = ("batch",)
CALLS = 300


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """`runs` pairs: the same blocks, in one request each."""
    load_before = os.getloadavg()[0]
    with (
        standing(run_folder) as stand,
        chain_with(stand.folder, events=CALLS, blocks=CALLS, progress=progress) as chain,
    ):
        machine = describe(stand, load_before)
        rows = batches(chain.node.url, range(chain.first_block, chain.first_block + CALLS), runs, progress)
    return Report(bench="rpc", machine=machine, runs=runs, rows=rows)


def batches(url: str, blocks: range, runs: int, progress: Callable[[str], None]) -> list[Row]:
    """Calls a second. Balances cost the node next to nothing, so they compare the clients; blocks are what we ask."""
    node = Provider(url, chain_id=CHAIN_ID, batch_size=CALLS)
    web3 = Web3(HTTPProvider(url))
    account = web3.eth.accounts[0]
    balances = [Call("eth_getBalance", [account, "latest"])] * CALLS

    def by_web3(call: Callable[[int], Any]) -> None:
        with web3.batch_requests() as batch:
            for number in blocks:
                batch.add(call(number))
            batch.execute()

    ways: dict[str, Callable[[], object]] = {
        "balances": lambda: node.batch(balances, result=str),
        "web3 balances": lambda: by_web3(lambda _: web3.eth.get_balance(account, "latest")),
        "headers": lambda: read_headers(node, blocks),
        "web3 headers": lambda: by_web3(web3.eth.get_block),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(-1, runs):
        progress(f"rpc: run {run + 1} of {runs}")
        for name, ask in ways.items():
            began = time.perf_counter()
            ask()
            if run >= 0:  # the first opens the connections
                found[name].append(CALLS / (time.perf_counter() - began))
    node.close()
    return [
        compared(
            f"a batch of {CALLS} balances, calls/s, baseline: web3", found["balances"], found["web3 balances"], bar=15
        ),
        compared(f"a batch of {CALLS} headers, calls/s, baseline: web3", found["headers"], found["web3 headers"]),
    ]

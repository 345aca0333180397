"""A chain to index: so many position events, spread evenly over so many blocks of a local node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import requests
from eth_hash.auto import keccak
from vyper.compiler import compile_code

from app.ops.adapters.embedded_anvil import EmbeddedAnvil, install_anvil
from app.ops.adapters.process import free_port
from bench.stand import ROOT

CHAIN_ID = 31339
GAS = hex(25_000_000)
OPENED = """
event PositionOpened:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    is_long: bool
    size: uint256
    entry_price: uint256
    collateral: uint256
    fee: uint256
    entry_funding_index: int256
    price_publish_time: uint256
"""
SOURCE = f"""
# pragma version 0.4.3

event MarketAdded:
    market_id: indexed(uint256)
    symbol: String[32]
    pyth_price_id: bytes32
    max_leverage: uint256
    rate: uint256
    small: uint256
{OPENED}
@external
def list_market():
    log MarketAdded(
        market_id=1, symbol="ETH-USD", pyth_price_id=keccak256("ETH-USD"), max_leverage=20 * 10 ** 18,
        rate=10 ** 16, small=60)

@external
def open(first: uint256, times: uint256):
    for place: uint256 in range(times, bound=200):
        id: uint256 = first + place
        log PositionOpened(
            position_id=id, owner=msg.sender, market_id=1, is_long=id % 2 == 0, size=id * 10 ** 15,
            entry_price=2000 * 10 ** 18 + id, collateral=10 ** 20 + id, fee=10 ** 17,
            entry_funding_index=-convert(id, int256), price_publish_time=block.timestamp)
"""
TERMS = {
    "max_leverage": "max_leverage",
    "maintenance_margin_rate": "rate",
    "liquidation_fee_rate": "rate",
    "open_fee_rate": "rate",
    "close_fee_rate": "rate",
    "funding_factor_per_second": "rate",
    "max_funding_rate_per_second": "rate",
    "max_price_age_seconds": "small",
    "max_confidence_bps": "small",
}
PERPS = """
[perps]
identity = { position = ["position_id"], market = ["market_id"] }
decimals = { size = 18, price = 18, quote = 18, rate = 18 }
margin = { kind = "isolated", boundary = "<", rates = ["maintenance_margin_rate"] }
price = { source = "pyth", contract = "%(address)s", feed = "pyth_price_id", confidence_multiple = 1 }
funding = { model = "open_interest_skew", authority = "chain" }

[[perps.events]]
event = "venue.MarketAdded"
effect = "market"
fields = { symbol = "symbol", base_token = "symbol", quote_token = "symbol", %(terms)s }

[[perps.events]]
event = "venue.PositionOpened"
effect = "open"
mode = "absolute"
[perps.events.fields]
owner = "owner"
side = "is_long"
size = "size"
collateral = "collateral"
entry_price = "entry_price"
entry_funding_index = "entry_funding_index"
fee = "fee"
"""


@cache
def compiled() -> dict[str, Any]:
    """The emitting contract's ABI and bytecode."""
    return dict(compile_code(SOURCE, output_formats=["abi", "bytecode"]))


@dataclass
class BenchChain:
    """A node with the events on it."""

    node: EmbeddedAnvil
    address: str
    first_block: int
    last_block: int
    events: int

    def write_protocol(self, folder: Path, *, folds: bool) -> Path:
        """A protocol file for the events, with or without what they mean to the perps feature."""
        (folder / "venue.json").write_text(json.dumps(compiled()["abi"]))
        wanted = ["MarketAdded", "PositionOpened"] if folds else ["PositionOpened"]
        lines = [f"chain_id = {CHAIN_ID}", f"start_block = {self.first_block}", "[contracts.venue]"]
        lines += [f'address = "{self.address}"', 'abi = "venue.json"', f"events = {json.dumps(wanted)}"]
        if folds:
            terms = ", ".join(f'{name} = "{field}"' for name, field in TERMS.items())
            lines.append(PERPS % {"address": self.address, "terms": terms})
        path = folder / ("venue_folded.toml" if folds else "venue.toml")
        path.write_text("\n".join(lines))
        return path


class Hand:
    """Sends what the generator needs; not the application's own RPC, which is what is measured."""

    def __init__(self, url: str):
        self._url, self._ids, self._session = url, count(1), requests.Session()
        self.account = self.ask("eth_accounts")[0]
        self.ask("evm_setAutomine", False)  # one transaction a block, and mined when we go on

    def ask(self, method: str, *params: Any) -> Any:
        """One call's result."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = self._session.post(self._url, json=body, timeout=60).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def send(self, data: str, to: str | None = None) -> dict[str, Any]:
        """A transaction, in a block of its own; its receipt."""
        transaction = {"from": self.account, "data": data, "gas": GAS} | ({"to": to} if to else {})
        sent = self.ask("eth_sendTransaction", transaction)
        self.ask("evm_mine")
        receipt: dict[str, Any] = self.ask("eth_getTransactionReceipt", sent)
        return receipt

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


@contextmanager
def chain_with(folder: Path, *, events: int, blocks: int, progress: Callable[[str], None]) -> Iterator[BenchChain]:
    """A node with the events on it, as many in each block; it ends with the block."""
    node = EmbeddedAnvil(install_anvil(ROOT / ".run" / "node"), free_port(), folder / "anvil.log", block_seconds=None)
    node.start()
    try:
        yield _filled(node, events, blocks, progress)
    finally:
        node.stop()


def _filled(node: EmbeddedAnvil, events: int, blocks: int, progress: Callable[[str], None]) -> BenchChain:
    hand = Hand(node.url)
    address = str(hand.send(str(compiled()["bytecode"]))["contractAddress"])
    hand.send("0x" + _selector("list_market()"), address)
    first, each = int(hand.ask("eth_blockNumber"), 16), events // blocks
    for block in range(blocks):
        if block % 500 == 0:
            progress(f"index: {block * each} of {events} events are on the chain")
        receipt = emit(hand, address, block * each, each)
    last = int(hand.ask("eth_blockNumber"), 16)
    if receipt["status"] != "0x1" or len(receipt["logs"]) != each or last != first + blocks:
        raise RuntimeError("the chain did not take the events")
    hand.close()
    return BenchChain(node, address, first, last, events)


def emit(hand: Hand, address: str, first: int, times: int) -> dict[str, Any]:
    """A block with so many positions opened; the receipt."""
    return hand.send(_opening(first, times), address)


def opening(hand: Hand, address: str, first: int, times: int) -> dict[str, str]:
    """A transaction that opens so many positions."""
    return {"from": hand.account, "to": address, "data": _opening(first, times), "gas": GAS}


def _opening(first: int, times: int) -> str:
    return f"0x{_selector('open(uint256,uint256)')}{first:064x}{times:064x}"


def _selector(signature: str) -> str:
    return keccak(signature.encode())[:4].hex()

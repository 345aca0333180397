"""A whole deployment in one process: node, exchange, price server, database, and a worker that runs the real jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

from app.chain.jobs import INDEX_HEAD, WATCH_TRANSACTIONS
from app.jobs.services.enqueue import enqueue
from app.jobs.types import JobKind, NewJob
from app.oracle.jobs import REFRESH_PRICES
from contracts.build import artifact
from contracts.deploy import Deployment
from contracts.feeds import FEEDS
from contracts.markets import WAD
from tasks.base import process_message
from tasks.chain import index_head, plan_backfill, watch_transactions
from tasks.oracle import aggregate, refresh
from tasks.perps import check, execute_orders, liquidate, scan, settle_funding
from tasks.runtime import Runtime
from tests.contracts.exchange import NO_LIMIT_DOWN, NO_LIMIT_UP, wad

KEEPING = (check, liquidate, scan, execute_orders, settle_funding)
TASKS = {task.name: task for task in (index_head, plan_backfill, watch_transactions, refresh, aggregate, *KEEPING)}
NAME = "watchkeeper_perps"
BTC, ETH, SOL = "1", "2", "3"
GAS = 3_000_000


class Venue:
    """The exchange as its traders and its back office see it; a transaction is mined as soon as it is sent."""

    def __init__(self, node_url: str, prices_url: str, deployment: Deployment, runtime: Runtime, engine: Engine):
        self.w3 = Web3(HTTPProvider(node_url))
        self.w3.middleware_onion.remove("validation")
        self.prices_url = prices_url
        self.deployment = deployment
        self.runtime = runtime
        self.engine = engine
        self.perp = self.contract("perp", deployment.perp.address)
        self.token = self.contract("dev_token", deployment.token.address)
        self.lag_seconds = 30
        self.trader, self.keeper = self.w3.eth.accounts[1], self.w3.eth.accounts[3]

    def contract(self, name: str, address: str) -> Any:
        """A deployed contract of ours."""
        return self.w3.eth.contract(address=self.w3.to_checksum_address(address), abi=artifact(name).abi)

    def rpc(self, method: str, *params: object) -> Any:
        """A raw call of the node."""
        answer = self.w3.provider.make_request(method, list(params))
        assert "error" not in answer, answer
        return answer["result"]

    def price(self, symbol: str, price: str, **order: Any) -> None:
        """Set a feed's price; it stays there. Each is dated a second later than the one before, however fast the test:
        the contract keeps the newer of two.
        """
        self.lag_seconds -= 1
        body = {symbol: {"price": price, "conf_bps": 1, "stale_seconds": self.lag_seconds, **order}}
        answer = requests.post(f"{self.prices_url}/dev/prices", json=body, timeout=5)
        assert answer.ok, answer.text

    def update_data(self, market: str) -> list[bytes]:
        """What a client would take from the price server for its own transaction."""
        feed = FEEDS[int(market) - 1].price_id.hex()
        answer = requests.get(f"{self.prices_url}/v2/updates/price/latest", params={"ids[]": feed}, timeout=5).json()
        return [bytes.fromhex(blob) for blob in answer["binary"]["data"]]

    def act(self, function: str, *arguments: object, market: str = BTC, sender: str | None = None) -> Any:
        """A trader's call with fresh prices; its receipt."""
        return self.call(function, *arguments, self.update_data(market), sender=sender, value="0x1")

    def call(self, function: str, *arguments: object, sender: str | None = None, value: str = "0x0") -> Any:
        """A trader's call; its receipt."""
        data = self.perp.encode_abi(function, list(arguments))
        call = {"from": sender or self.trader, "to": self.perp.address, "data": data, "value": value, "gas": hex(GAS)}
        receipt = self.w3.eth.wait_for_transaction_receipt(self.rpc("eth_sendTransaction", call), poll_latency=0.01)
        assert receipt["status"] == 1, function
        return receipt

    def open(self, is_long: bool, size: str, collateral: str, market: str = BTC) -> str:
        """Open a position at the feed's price; its key."""
        limit = NO_LIMIT_UP if is_long else NO_LIMIT_DOWN
        receipt = self.act("open", int(market), is_long, wad(size), wad(collateral), limit, market=market)
        (event,) = self.perp.events.PositionOpened().process_receipt(receipt, errors=DISCARD)
        return str(event["args"]["position_id"])

    def place_limit(self, is_long: bool, trigger: str, **options: Any) -> str:
        """A limit order for one BTC, or to add it to a position; its key."""
        acceptable = options.get("acceptable", NO_LIMIT_UP if is_long else NO_LIMIT_DOWN)
        terms = (int(BTC), is_long, int(options.get("position", 0)), WAD, wad(options.get("collateral", "6000")))
        fee, expires_at = wad(options.get("fee", "20")), options.get("expires_at", 0)
        return self._placed("place_limit_order", *terms, wad(trigger), acceptable, fee, expires_at)

    def place_closing(self, kind: int, position: str, trigger: str, **options: Any) -> str:
        """An order to close a position, or a part of it; its key."""
        is_long = self.on_chain(position)["is_long"]
        acceptable = options.get("acceptable", NO_LIMIT_DOWN if is_long else NO_LIMIT_UP)
        terms = (kind, int(position), wad(options.get("size", "1000")), wad(trigger), acceptable)
        fee, expires_at = wad(options.get("fee", "20")), options.get("expires_at", 0)
        return self._placed("place_closing_order", *terms, fee, expires_at)

    def _placed(self, function: str, *terms: object) -> str:
        (event,) = self.perp.events.OrderPlaced().process_receipt(self.call(function, *terms), errors=DISCARD)
        return str(event["args"]["order_id"])

    def cancel(self, order: str) -> None:
        """The trader takes an order back."""
        self.call("cancel_order", int(order))

    def on_chain(self, key: str) -> dict[str, Any]:
        """A position as the contract has it."""
        owner, market_id, is_long, size, collateral, entry, index = self.perp.functions.positions(int(key)).call()
        named = {"owner": owner, "market_id": market_id, "is_long": is_long, "size": size}
        return {**named, "collateral": collateral, "entry_price": entry, "entry_funding_index": index}

    # ------------------------------------------------------------ the back office

    def submit(self, kind: JobKind, **options: Any) -> UUID:
        """Queue a job and commit."""
        params = options.pop("params", {})
        with Session(self.engine) as session:
            job_id = enqueue(session, NewJob(kind=kind, params=params, principal="user:test", **options))
            session.commit()
        return job_id

    def work(self, job_id: UUID) -> Any:
        """Let the worker run a job once; its row afterwards. A job that waits is made due."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET run_at = now() WHERE id = :id AND status = 'queued'"), {"id": job_id}
            )
        row = self.job(job_id)
        task = TASKS[row.kind]
        process_message(self.runtime, task.kind, task.work, [job_id])
        return self.job(job_id)

    def run(self, kind: JobKind, **options: Any) -> Any:
        """Queue a job and let the worker run it; it must succeed. Its result."""
        row = self.work(self.submit(kind, **options))
        assert row.status == "succeeded", row.error
        return row.result

    def finish(self, job_id: UUID, rounds: int = 20) -> Any:
        """Run a job, and the watcher beside it, until it has ended; blocks go on meanwhile."""
        for _ in range(rounds):
            row = self.work(job_id)
            if row.status not in ("queued", "running"):
                return row
            self.mine()
            self.run_watcher()
        raise AssertionError(f"the job has not ended: {row}")

    def settle(self, rounds: int = 20) -> None:
        """Let every transaction of ours become final, and index."""
        for _ in range(rounds):
            self.mine()
            if self.run_watcher()["live"] == 0:
                break
        self.index()

    def run_watcher(self) -> Any:
        """Take every transaction of ours a step further."""
        return self.run(WATCH_TRANSACTIONS)

    def job(self, job_id: UUID) -> Any:
        """A job's row."""
        with self.engine.connect() as connection:
            return connection.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": job_id}).one()

    def mine(self, blocks: int = 1) -> None:
        """Blocks without our doing."""
        self.rpc("anvil_mine", hex(blocks))

    def index(self) -> None:
        """Follow the chain to its head."""
        self.run(INDEX_HEAD, params={"contract_set": NAME})

    def refresh(self) -> None:
        """Record the latest prices. The searches that this queues are forgotten: a test runs its own, and the worker
        would go on with these.
        """
        self.run(REFRESH_PRICES)
        self.execute(
            "DELETE FROM jobs WHERE status = 'queued' AND kind IN ('perps.scan_liquidations', 'perps.execute_orders')"
        )

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """What a SELECT gives."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), values).all()

    def execute(self, statement: str) -> None:
        """Change what the test cannot wait for."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def position(self, key: str) -> Any:
        """A position's row."""
        (row,) = self.rows("SELECT * FROM perps_positions WHERE key = :key", key=key)
        return row


def fund(node_url: str, deployment: Deployment) -> None:
    """Money for the trader."""
    w3 = Web3(HTTPProvider(node_url))
    trader = w3.eth.accounts[1]
    token = w3.eth.contract(address=w3.to_checksum_address(deployment.token.address), abi=artifact("dev_token").abi)
    for call in (("mint", [trader, 10**9 * WAD]), ("approve", [deployment.perp.address, NO_LIMIT_UP])):
        data = token.encode_abi(*call)
        w3.provider.make_request("eth_sendTransaction", [{"from": trader, "to": token.address, "data": data}])

"""A node as the outside world talks to it: plain JSON-RPC over HTTP, in batches where many answers are wanted.

Transactions are sent from the node's own unlocked accounts, as every development node has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from contracts.abi import Abi, Event
from contracts.build import artifact

TIMEOUT_SECONDS = 15.0
GAS = 1_500_000


class NodeRefused(RuntimeError):
    """The node answered with an error; the message is the node's."""


class Node:
    """One node's JSON-RPC address. Raises NodeRefused, and requests' errors when it cannot be reached."""

    def __init__(self, url: str):
        self._url = url
        self._session = requests.Session()

    def call(self, method: str, *params: object) -> Any:
        """One call's result."""
        (result,) = self.batch([(method, params)])
        return result

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The results of many calls, in their order, by one request."""
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(calls)
        ]
        answer = self._session.post(self._url, json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        by_id = {item["id"]: item for item in answer.json()}
        return [_result(method, by_id[number]) for number, (method, _) in enumerate(calls)]

    @property
    def accounts(self) -> list[str]:
        """The unlocked accounts."""
        found: list[str] = self.call("eth_accounts")
        return found


@dataclass(frozen=True)
class Contract:
    """A deployed contract of ours."""

    node: Node
    address: str
    abi: Abi

    @classmethod
    def named(cls, name: str, node: Node, address: str) -> Contract:
        """The contract `name` of contracts/, deployed at `address`."""
        return cls(node, address, Abi(artifact(name).abi))

    def send(self, sender: str, function: str, *arguments: object, value_wei: int = 0) -> str:
        """Send a transaction and return its hash at once."""
        fields = {"from": sender, "to": self.address, "gas": hex(GAS), "value": hex(value_wei)}
        data = self.abi.call_data(function, *arguments)
        digest: str = self.node.call("eth_sendTransaction", fields | {"data": data})
        return digest

    def views(self, calls: Sequence[tuple[str, Sequence[object]]], block: object = "latest") -> list[Any]:
        """The results of many views at one block (a number in hex, a tag, or `{"blockHash": …}`)."""
        asked = [
            ("eth_call", ({"to": self.address, "data": self.abi.call_data(name, *arguments)}, block))
            for name, arguments in calls
        ]
        answers = self.node.batch(asked)
        return [self.abi.result(name, answer) for (name, _), answer in zip(calls, answers, strict=True)]

    def view(self, function: str, *arguments: object, block: object = "latest") -> Any:
        """The result of one view."""
        return self.views([(function, arguments)], block)[0]

    def events(self, logs: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Those of the logs that this contract wrote, decoded."""
        ours = (log for log in logs if log["address"].lower() == self.address.lower())
        return [event for event in map(self.abi.find_event, ours) if event is not None]

    def logs(self, event: str, *, first: int, last: int) -> list[Event]:
        """Every `event` this contract has written in these blocks."""
        wanted = {"address": self.address, "topics": [self.abi.topic(event)]}
        return self.events(self.node.call("eth_getLogs", wanted | {"fromBlock": hex(first), "toBlock": hex(last)}))


def _result(method: str, item: Mapping[str, Any]) -> Any:
    if "error" in item:
        raise NodeRefused(f"{method}: {item['error'].get('message', item['error'])}")
    return item["result"]

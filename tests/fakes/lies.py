"""What providers do to log queries, for a NodeProxy in front of an honest node. Ranges lie; a block asked for by its
hash is answered as it is, unless a lie says otherwise; receipts are the node's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count, cycle
from typing import Any

from tests.fakes.node_proxy import Answer, Calls, error, said

Logs = list[dict[str, Any]]
Query = dict[str, Any]
Lie = Callable[[Query, Logs], Logs]


def answering(*lies: Lie) -> Callable[[Calls, Any], Any]:
    """For `NodeProxy.after`: each answer to eth_getLogs goes through all of `lies`."""

    def after(calls: Calls, answer: Any) -> Any:
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            if call["method"] == "eth_getLogs" and "result" in item:
                for lie in lies:
                    item["result"] = lie(call["params"][0], item["result"])
        return answer

    return after


def is_range(query: Query) -> bool:
    return "blockHash" not in query


def empty_at_times(every: int) -> Lie:
    """A balancer sends each `every`-th range to a back end that has not got there yet, and answers `[]`."""
    asked = count(1)
    return lambda query, logs: [] if is_range(query) and next(asked) % every == 0 else logs


def without_blocks(numbers: Iterable[int]) -> Lie:
    """Whole blocks' logs are left out of ranges."""
    gone = {hex(number) for number in numbers}
    return lambda query, logs: [log for log in logs if not (is_range(query) and log["blockNumber"] in gone)]


def cut_at(most: int) -> Lie:
    """A range's list ends after `most` logs, without a word."""
    return lambda query, logs: logs[:most] if is_range(query) else logs


def without_first_of(numbers: Iterable[int]) -> Lie:
    """The first log of these blocks is left out, however they are asked for; the others of the block are there."""
    some = {hex(number) for number in numbers}

    def lie(query: Query, logs: Logs) -> Logs:
        firsts: dict[str, str] = {}
        for log in logs:
            firsts.setdefault(log["blockNumber"], log["logIndex"])
        kept = [log for log in logs if log["blockNumber"] not in some or firsts[log["blockNumber"]] != log["logIndex"]]
        return kept if len(kept) > 0 else logs

    return lie


def refusing(widest: int, refusals: Iterable[tuple[int, str]], *, gives_up_at: int) -> Callable[[Calls], Answer | None]:
    """For `NodeProxy.before`: ranges wider than `widest` blocks are refused, each time in the next of these words
    (code, message); from `gives_up_at` blocks on a gateway gives up instead.
    """
    words = cycle(refusals)

    def before(calls: Calls) -> Answer | None:
        for call in calls:
            query = call["params"][0] if call["method"] == "eth_getLogs" else {"blockHash": ""}
            blocks = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1 if is_range(query) else 0
            if blocks >= gives_up_at:
                return Answer(504)
            if blocks > widest:
                code, message = next(words)
                answers = [error(one, code, message) for one in calls]
                return said(answers if len(calls) > 1 else answers[0])
        return None

    return before


def lagging(blocks: int, head: Callable[[], int]) -> Callable[[Calls], None]:
    """For `NodeProxy.before`: a back end that is `blocks` behind the node's `head()`, and consistent in itself."""

    def before(calls: Calls) -> None:
        for call in calls:
            if call["method"] == "eth_getBlockByNumber" and call["params"][0] == "latest":
                call["params"][0] = hex(max(0, head() - blocks))
            if call["method"] == "eth_blockNumber":
                call |= {"method": "eth_getBlockTransactionCountByNumber", "params": [hex(0)]}

    return before

"""The JSON-RPC client over real sockets: what it makes of a node's answers, and of a node that does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from app.chain import errors
from app.chain.adapters import from_settings
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Call, Provider
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from config.groups import ChainSettings
from tests.chain.node_messages import FAILURES, RANGES
from tests.fakes.node_proxy import Answer, Calls, NodeProxy, error, result, said

CHAIN_ID = 31339
KEY = "SeCrEtKeY0123456789"


@pytest.fixture
def node() -> Iterator[NodeProxy]:
    """A node that says what a test wants."""
    proxy = NodeProxy()
    yield proxy
    proxy.close()


@pytest.fixture
def ask(node: NodeProxy) -> Iterator[Provider]:
    """A provider of that node."""
    provider = Provider(f"{node.url}/v2/{KEY}", chain_id=CHAIN_ID, timeout_seconds=2.0, attempts=1)
    yield provider
    provider.close()


def saying(answer: Callable[[dict[str, Any]], Any]) -> Callable[[Calls], Answer]:
    """A node that knows its chain id, and for the rest answers `answer(call)`."""

    def before(calls: Calls) -> Answer:
        if calls[0]["method"] == "eth_chainId":
            return said(result(calls[0], hex(CHAIN_ID)))
        answers = [answer(call) for call in calls]
        return said(answers[0] if len(calls) == 1 and "batch" not in calls[0] else answers)

    return before


def batched(answer: Callable[[Calls], Any]) -> Callable[[Calls], Answer]:
    """A node that answers batches with `answer(calls)`."""

    def before(calls: Calls) -> Answer:
        return said(result(calls[0], hex(CHAIN_ID)) if calls[0]["method"] == "eth_chainId" else answer(calls))

    return before


def test_the_chain_is_asked_for_once_a_connection(node: NodeProxy, ask: Provider) -> None:
    node.before = saying(lambda call: result(call, "0x10"))
    assert [ask.call("eth_blockNumber") for _ in range(3)] == ["0x10"] * 3
    assert node.seen == [["eth_blockNumber"], ["eth_chainId"], ["eth_blockNumber"], ["eth_blockNumber"]]
    assert ask.requests_sent == 4


def test_another_chain_is_noticed_before_its_answer_is_believed(node: NodeProxy) -> None:
    node.before = saying(lambda call: result(call, "0x10"))
    with pytest.raises(errors.ChainMismatch, match="serves chain 0x7a6b, not 1"):
        Provider(node.url, chain_id=1).call("eth_blockNumber")


@pytest.mark.chain
def test_a_node_restarted_on_another_chain_is_noticed(anvil: EmbeddedAnvil, anvil_binary: Any, tmp_path: Any) -> None:
    provider = Provider(anvil.url, chain_id=CHAIN_ID, attempts=1)
    assert provider.call("eth_blockNumber") == "0x0"
    anvil.stop()
    other = EmbeddedAnvil(anvil_binary, anvil.port, tmp_path / "other.log", block_seconds=None, chain_id=7)
    other.start()
    try:
        # The pooled connection may be found dead first; whichever comes, the answer is not taken.
        for _ in range(2):
            with pytest.raises((errors.ChainMismatch, errors.NodeUnreachable)):
                provider.call("eth_blockNumber")
    finally:
        other.stop()
        provider.close()


def test_a_batch_is_matched_by_id_and_cut_into_requests(node: NodeProxy) -> None:
    node.before = batched(lambda calls: [result(call, call["params"][0] * 2) for call in reversed(calls)])
    provider = Provider(node.url, chain_id=CHAIN_ID, batch_size=4)
    assert provider.batch([Call("double", [n]) for n in range(10)], result=int) == [n * 2 for n in range(10)]
    assert [len(methods) for methods in node.seen if methods[0] == "double"] == [4, 4, 2]
    provider.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda calls: [result(call, 1) for call in calls[1:]],
        lambda calls: [result(calls[0], 1) for _ in calls],
        lambda calls: [result({"id": 999}, 1) for _ in calls],
        lambda calls: [{"jsonrpc": "2.0", "id": call["id"]} for call in calls],
        lambda calls: {"unexpected": True},
        lambda calls: "words",
        lambda calls: [result(call, "not a number") for call in calls],
    ],
    ids=["one missing", "one doubled", "another's ids", "no result", "an object", "a string", "another type"],
)
def test_an_answer_that_does_not_fit_is_invalid(node: NodeProxy, ask: Provider, answer: Any) -> None:
    node.before = batched(answer)
    with pytest.raises(errors.NodeAnswerInvalid):
        ask.batch([Call("a"), Call("b")], result=int)


def test_a_typed_answer_is_decoded_and_null_is_none(node: NodeProxy, ask: Provider) -> None:
    class Block(msgspec.Struct):
        number: str

    node.before = saying(lambda call: result(call, {"number": "0x1", "more": []} if call["params"] else None))
    assert ask.call("eth_getBlockByNumber", "0x1", result=Block) == Block("0x1")
    assert ask.call("eth_getBlockByNumber", result=Block) is None


def test_outcomes_keep_each_call_s_own_error(node: NodeProxy, ask: Provider) -> None:
    reverted = {"code": 3, "message": "execution reverted: too small", "data": "0x08c379a0ff"}
    node.before = batched(
        lambda calls: [result(calls[0], "0x"), error(calls[1], reverted["code"], reverted["message"], reverted["data"])]
    )
    good, bad = ask.outcomes([Call("eth_call"), Call("eth_call")])
    assert good == "0x"
    assert isinstance(bad, errors.ExecutionReverted)
    assert (bad.detail, bad.data) == ("execution reverted: too small", bytes.fromhex("08c379a0ff"))
    with pytest.raises(errors.ExecutionReverted):
        ask.batch([Call("eth_call"), Call("eth_call")])


@pytest.mark.parametrize(
    ("code", "message", "suggested", "cap"), RANGES, ids=[message[:40] for _, message, *_ in RANGES]
)
def test_each_provider_s_range_error_is_understood(
    node: NodeProxy, ask: Provider, code: int, message: str, suggested: int | None, cap: int | None
) -> None:
    node.before = saying(lambda call: error(call, code, message))
    with pytest.raises(errors.RangeTooLarge) as refused:
        ask.call("eth_getLogs", {})
    assert (refused.value.suggested_blocks, refused.value.cap_blocks) == (suggested, cap)
    node.before = lambda calls: said(error(calls[0], code, message), status=400)
    with pytest.raises(errors.RangeTooLarge):
        ask.call("eth_getLogs", {})


@pytest.mark.parametrize(
    ("method", "code", "message", "expected"), FAILURES, ids=[f"{m}: {t[:40]}" for m, _, t, _ in FAILURES]
)
def test_failures_are_told_apart(
    node: NodeProxy, ask: Provider, method: str, code: int, message: str, expected: type[errors.AppError]
) -> None:
    node.before = saying(lambda call: error(call, code, message))
    with pytest.raises(expected) as failure:
        ask.call(method, {})
    assert type(failure.value) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, errors.BadKey),
        (403, errors.BadKey),
        (404, errors.NodeRefused),
        (413, errors.RangeTooLarge),
        (429, errors.NodeRateLimited),
        (408, errors.NodeTimeout),
        (504, errors.NodeTimeout),
        (500, errors.NodeUnreachable),
        (503, errors.NodeUnreachable),
        (302, errors.NodeRefused),
    ],
)
def test_http_statuses_are_told_apart(node: NodeProxy, ask: Provider, status: int, expected: type[Exception]) -> None:
    node.before = lambda calls: Answer(status, b"<html>no JSON</html>", {"Location": "http://127.0.0.1:9/"})
    with pytest.raises(expected) as failure:
        ask.call("eth_blockNumber")
    assert type(failure.value) is expected


def test_what_can_pass_is_tried_again_and_what_cannot_is_not(node: NodeProxy) -> None:
    provider = Provider(node.url, chain_id=CHAIN_ID, attempts=3)
    answers = iter([Answer(503), Answer(200, b"{"), said({"jsonrpc": "2.0", "id": 3, "result": "0x5"})])
    node.before = lambda calls: (
        said(result(calls[0], hex(CHAIN_ID))) if calls[0]["method"] == "eth_chainId" else next(answers)
    )
    assert provider.call("eth_blockNumber") == "0x5"
    asked = len(node.seen)
    node.before = lambda calls: Answer(401)
    with pytest.raises(errors.BadKey):
        provider.call("eth_blockNumber")
    assert len(node.seen) == asked + 1
    node.before = lambda calls: Answer(503)
    with pytest.raises(errors.NodeUnreachable):
        provider.call("eth_blockNumber", attempts=2)
    assert len(node.seen) == asked + 3
    provider.close()


def test_a_rate_limit_is_waited_for_as_long_as_it_asks(node: NodeProxy) -> None:
    provider = Provider(node.url, chain_id=CHAIN_ID, attempts=2)
    answers = iter([Answer(429, b"", {"Retry-After": "1"})])
    fine = saying(lambda call: result(call, "0x5"))
    node.before = lambda calls: next(answers, None) or fine(calls)
    started = time.monotonic()
    assert provider.call("eth_blockNumber") == "0x5"
    assert time.monotonic() - started >= 1.0
    provider.close()


@pytest.mark.parametrize("drip", [0.05, None])
def test_an_answer_that_does_not_end_in_time_is_a_timeout(node: NodeProxy, drip: float | None) -> None:
    provider = Provider(node.url, chain_id=CHAIN_ID, timeout_seconds=0.3, attempts=3)

    def silent(calls: Calls) -> Answer:
        if drip is None:
            node.ended.wait(1.0)
        return Answer(200, b"x" * 100, drip_seconds=drip)

    node.before = silent
    started = time.monotonic()
    with pytest.raises(errors.NodeTimeout):
        provider.call("eth_getLogs", {}, retry_timeouts=False)
    assert time.monotonic() - started < 1.0
    assert len(node.seen) == 1
    node.ended.set()
    provider.close()


def of_logs(answer: Answer) -> Callable[[Calls], Answer]:
    """A node that answers log queries so, and is else in order."""
    return lambda calls: answer if calls[0]["method"] == "eth_getLogs" else said(result(calls[0], hex(CHAIN_ID)))


def test_an_answer_cut_short_is_not_taken_for_whole(node: NodeProxy, ask: Provider) -> None:
    node.before = lambda calls: Answer(200, b'{"jsonrpc":"2.0","id":1,"result":[]}', cut=True)
    with pytest.raises(errors.AnswerTruncated):
        ask.call("eth_getLogs", {})
    node.before = of_logs(Answer(200, b'{"jsonrpc":"2.0","id":1,"result":[{"address":"0x'))
    with pytest.raises(errors.AnswerTruncated):
        ask.call("eth_getLogs", {})


def test_a_range_that_a_gateway_gives_up_on_is_a_range_to_make_smaller(node: NodeProxy, ask: Provider) -> None:
    for status in (503, 504):
        node.before = of_logs(Answer(status, b""))
        with pytest.raises(errors.NodeTimeout):
            ask.call("eth_getLogs", {})
    node.before = lambda calls: Answer(503, b"")
    with pytest.raises(errors.NodeUnreachable):
        ask.call("eth_blockNumber")


def test_an_answer_larger_than_allowed_is_not_read_to_its_end(node: NodeProxy) -> None:
    provider = Provider(node.url, chain_id=CHAIN_ID, max_answer_bytes=100_000)
    node.before = lambda calls: Answer(200, b" " * 5_000_000)
    with pytest.raises(errors.AnswerTooLarge):
        provider.call("eth_getLogs", {})
    assert provider.bytes_received == 0
    provider.close()


def test_keys_are_never_shown(node: NodeProxy, ask: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dead = Provider(f"http://user:{KEY}@127.0.0.1:{free_port()}/v2/{KEY}?key={KEY}", chain_id=1, attempts=2)
    shown = [repr(ask), repr(dead), dead.name]
    with pytest.raises(errors.NodeUnreachable) as unreachable:
        dead.call("eth_blockNumber")
    shown += [str(unreachable.value), repr(unreachable.value.as_dict()), repr(unreachable.value.__cause__)]
    node.before = saying(
        lambda call: error(call, -32000, f"upstream http://x/v2/{KEY} said: key {KEY} is over its quota")
    )
    with pytest.raises(errors.NodeFailed) as failed:
        ask.call("eth_blockNumber")
    shown += [str(failed.value), caplog.text]
    assert not [text for text in shown if KEY in text]
    assert "127.0.0.1" in repr(ask)


def test_what_is_no_url_is_refused() -> None:
    for bad in ("", "127.0.0.1:8545", "ws://127.0.0.1", "http://"):
        with pytest.raises(ValueError, match="URL"):
            Provider(bad, chain_id=1)


def test_a_tick_is_pinned_to_the_first_that_answers(node: NodeProxy, ask: Provider) -> None:
    node.before = saying(lambda call: result(call, "0x10"))
    dead = Provider(f"http://127.0.0.1:{free_port()}", chain_id=CHAIN_ID, attempts=1)
    wrong = Provider(node.url, chain_id=5, attempts=1)
    pinned, head = Providers([dead, wrong, ask]).pin(lambda provider: provider.call("eth_blockNumber"))
    assert (pinned, head) == (ask, "0x10")
    with pytest.raises(errors.NodeUnreachable):
        Providers([wrong, dead]).pinned()
    wrong.close()


def test_an_error_of_the_request_itself_is_not_asked_elsewhere(node: NodeProxy, ask: Provider) -> None:
    node.before = saying(lambda call: error(call, 3, "execution reverted"))
    with pytest.raises(errors.ExecutionReverted):
        Providers([ask, ask]).pin(lambda provider: provider.call("eth_call"))
    assert sum(methods == ["eth_call"] for methods in node.seen) == 1


def test_providers_come_from_settings_in_order() -> None:
    settings = ChainSettings(chain_id=5, rpc_urls=("http://one.test/k", "https://two.test:8443/k"))
    providers = from_settings(settings)
    assert repr(providers._providers) == "(Provider(one.test, chain_id=5), Provider(two.test:8443, chain_id=5))"
    assert providers.requests_sent == 0

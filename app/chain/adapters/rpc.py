"""JSON-RPC to an EVM node: single and batched calls, typed answers, classified failures, bounded retries.

A `Provider` is one URL. URLs may hold API keys: only the host's name is ever shown.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from app.chain import errors
from app.chain.adapters import rpc_failures
from app.chain.adapters.rpc_transport import HttpAnswer, Transport
from app.core.errors import AppError
from app.core.logging import get_logger

T = TypeVar("T")
log = get_logger(__name__)

ATTEMPTS = 3
BATCH_SIZE = 100
MAX_ANSWER_BYTES = 32 << 20
TRUNCATED = "truncated"  # msgspec's word for JSON that ends too early
STATUS_DECIDES = (401, 403, 413, 429)  # whatever the body says
BACKOFF_SECONDS = 0.2
BACKOFF_CAP_SECONDS = 5.0


class Call(NamedTuple):
    """One JSON-RPC call; `params` are JSON values, quantities as hex strings."""

    method: str
    params: Sequence[Any] = ()


class _Fault(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None
    data: Any = None


class _Answer(msgspec.Struct, Generic[T]):
    id: int | str | None = None
    result: T | msgspec.UnsetType | None = msgspec.UNSET
    error: _Fault | None = None


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


class Provider:
    """One node. `attempts` bounds how often a failure that can pass is tried; each attempt ends in `timeout_seconds`.

    The chain id is asked for before the first answer is believed, and again whenever a connection was newly opened:
    another node, or a restarted one, may sit behind the same URL. Costs one small request a connection.
    """

    def __init__(
        self,
        url: str,
        *,
        chain_id: int,
        timeout_seconds: float = 10.0,
        attempts: int = ATTEMPTS,
        batch_size: int = BATCH_SIZE,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ):
        self.chain_id = chain_id
        self.requests_sent = 0
        self.calls_sent = 0
        self.bytes_received = 0
        self._transport = Transport(url, timeout_seconds=timeout_seconds, max_bytes=max_answer_bytes)
        self._attempts = attempts
        self._batch_size = batch_size
        self._ids = count(1)
        self._verified_connections = 0

    @property
    def name(self) -> str:
        """The node's host, for errors and logs."""
        return self._transport.name

    def __repr__(self) -> str:
        return f"Provider({self.name}, chain_id={self.chain_id})"

    def call(
        self,
        method: str,
        *params: Any,
        result: Any = Any,
        attempts: int | None = None,
        retry_timeouts: bool = True,
    ) -> Any:
        """The result of one call, decoded as the type `result`; None where the node says null.

        Raises the classes of chain.errors. A result that does not fit the type is NodeAnswerInvalid. With
        `retry_timeouts` off a timeout is raised at once: who asked for too much will ask for less.
        """

        def once() -> Any:
            identity = next(self._ids)
            self.calls_sent += 1
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
            answer = self._decoded(self._exchange(body), _Answer[result], method)
            if answer.error is None and answer.id != identity:
                raise errors.NodeAnswerInvalid(f"{self.name} answered another request.")
            return self._unwrap(method, answer)

        return self._retried(once, attempts, retry_timeouts)

    def batch(
        self,
        calls: Sequence[Call],
        *,
        result: Any = Any,
        attempts: int | None = None,
        retry_timeouts: bool = True,
    ) -> list[Any]:
        """The results of `calls`, in their order, each decoded as `result`; raises the first failure among them.

        Sent in as few requests as the batch size allows. A failure that can pass repeats its request as a whole.
        """
        results: list[Any] = []
        for chunk in self._chunks(calls):
            results += self._retried(partial(self._batch_raising, chunk, result), attempts, retry_timeouts)
        return results

    def outcomes(
        self, calls: Sequence[Call], *, result: Any = Any, attempts: int | None = None
    ) -> list[Any | AppError]:
        """Like `batch`, but a call that failed gives its error in its place; a request that failed still raises."""
        results: list[Any | AppError] = []
        for chunk in self._chunks(calls):
            results += self._retried(partial(self._batch_once, chunk, result), attempts, True)
        return results

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._transport.close()

    def _chunks(self, calls: Sequence[Call]) -> list[Sequence[Call]]:
        return [calls[start : start + self._batch_size] for start in range(0, len(calls), self._batch_size)]

    def _batch_raising(self, calls: Sequence[Call], result: Any) -> list[Any]:
        outcomes = self._batch_once(calls, result)
        for outcome in outcomes:
            if isinstance(outcome, AppError):
                raise outcome
        return outcomes

    def _batch_once(self, calls: Sequence[Call], result: Any) -> list[Any | AppError]:
        numbered = {next(self._ids): call for call in calls}
        self.calls_sent += len(calls)
        body = [
            {"jsonrpc": "2.0", "id": identity, "method": call.method, "params": call.params}
            for identity, call in numbered.items()
        ]
        answers = self._decoded(self._exchange(msgspec.json.encode(body)), list[_Answer[result]], calls[0].method)
        by_id = {answer.id: answer for answer in answers}
        if len(answers) != len(numbered) or by_id.keys() != numbered.keys():
            raise errors.NodeAnswerInvalid(f"{self.name} answered {len(answers)} of {len(numbered)} calls.")
        return [_outcome(self._unwrap, call.method, by_id[identity]) for identity, call in numbered.items()]

    def _exchange(self, body: bytes) -> HttpAnswer:
        answer = self._post(body)
        while self._transport.connections() != self._verified_connections:
            self._verify_chain()
        return answer

    def _post(self, body: bytes) -> HttpAnswer:
        self.requests_sent += 1
        answer = self._transport.post(body)
        self.bytes_received += len(answer.body)
        return answer

    def _verify_chain(self) -> None:
        connections = self._transport.connections()
        answer = self._post(b'{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}')
        said = self._unwrap("eth_chainId", self._decoded(answer, _Answer[str], "eth_chainId"))
        if said is None or _quantity(said) != self.chain_id:
            raise errors.ChainMismatch(f"{self.name} serves chain {said}, not {self.chain_id}.")
        self._verified_connections = connections

    def _decoded(self, answer: HttpAnswer, kind: Any, method: str) -> Any:
        """The body as `kind`; a refusal of the whole request, by status or by a lone error object, is raised."""
        if answer.status != 200:
            fault = None if answer.status in STATUS_DECIDES else _lone_fault(answer.body)
            if fault is None:
                raise rpc_failures.from_status(answer.status, answer.retry_after_seconds, method)
            raise self._failure(method, fault)
        try:
            return _decoder(kind).decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            fault = _lone_fault(answer.body)
            if fault is not None:
                raise self._failure(method, fault) from None
            if TRUNCATED in str(problem):
                raise errors.AnswerTruncated(f"{self.name} ended its answer too early.") from None
            raise errors.NodeAnswerInvalid(f"{self.name} answered what cannot be read: {problem}") from None

    def _unwrap(self, method: str, answer: _Answer[T]) -> T | None:
        if answer.error is not None:
            raise self._failure(method, answer.error)
        if answer.result is msgspec.UNSET:
            raise errors.NodeAnswerInvalid(f"{self.name} answered {method} with neither a result nor an error.")
        return answer.result

    def _failure(self, method: str, fault: _Fault) -> AppError:
        return rpc_failures.from_error(method, fault.code, fault.message, fault.data, self._transport.secrets)

    def _retried(self, once: Callable[[], T], attempts: int | None, retry_timeouts: bool) -> T:
        attempts = attempts or self._attempts
        for attempt in range(1, attempts):
            try:
                return once()
            except errors.NodeFailed as failure:
                if isinstance(failure, errors.NodeTimeout) and not retry_timeouts:
                    raise
                wait = _backoff_seconds(attempt, failure.retry_after_seconds)
                log.warning("node_retried", node=self.name, code=failure.code, wait_seconds=round(wait, 3))
                time.sleep(wait)
        return once()


def _outcome(unwrap: Callable[[str, Any], Any], method: str, answer: Any) -> Any | AppError:
    try:
        return unwrap(method, answer)
    except AppError as failure:
        return failure


def _lone_fault(body: bytes) -> _Fault | None:
    try:
        answer: _Answer[Any] = _decoder(_Answer[Any]).decode(body)
        return answer.error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _quantity(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise errors.NodeAnswerInvalid(f"not a quantity: {text[:80]!r}") from None


def _backoff_seconds(attempt: int, asked_seconds: float | None) -> float:
    """Full jitter over a doubling ceiling; at least what the server asked for, as far as our own cap allows."""
    ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2**attempt)
    return min(BACKOFF_CAP_SECONDS, max(asked_seconds or 0.0, random.uniform(0.0, ceiling)))  # noqa: S311 - no secret

"""Which failure a node's error means. Nodes agree on no codes, so the wording decides; the sources are in the tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.chain import errors
from app.chain.adapters import send_failures
from app.core.errors import AppError
from app.core.logging import redact_text

MESSAGE_MAX = 300
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_URL = re.compile(r"\b\w+://\S+")

_BEHIND = re.compile(
    r"beyond current head|after last accepted block|header not found|unknown block|block not found"
    r"|could not find block|missing trie node|future block|cannot query unfinalized|blockoutofrange"
    r"|block number out of range|block_out_of_range",
    re.I,
)
_RATE = re.compile(
    r"rate.?limit|too many requests|request limit|requests? per|daily request count|compute units|throughput"
    r"|exceeded (?:its|your) (?:quota|capacity)|capacity",
    re.I,
)
_KEY = re.compile(r"unauthori[sz]ed|api.?key|must be authenticated|access denied|forbidden|invalid project", re.I)
_MISSING = re.compile(
    r"method .*(?:not found|does not exist|not available|not supported|disabled)|unsupported method|method not found"
    r"|unknown method|does not exist/is not available",
    re.I,
)
_TIMEOUT = re.compile(r"time?d? ?out|deadline exceeded|took too long", re.I)
_REVERT = re.compile(r"revert|vm execution error|invalid opcode|always failing transaction", re.I)

# eth_getLogs: too many blocks, or too many logs in them.
_RANGE = re.compile(
    r"block range|ranges over|range (?:is )?too|range \d+ (?:exceeds|is bigger)|too (?:large|wide|many blocks)"
    r"|size exceeded|limited to 0 - \d"
    r"|more than \d+ (?:results|logs|events)|too many logs"
    r"|max(?:imum)? results|response (?:size|is|too)|logs matched|limit exceeded|max(?:imum)? (?:block )?range"
    r"|blocks? distance|up to an? \d|limited to an? [\d,]+|limited to [\d,]+ block|at most [\d,]+ blocks"
    r"|exceeds? (?:the )?(?:limit|max)|max(?:imum)? (?:is set to|allowed)|number of requested blocks|range limit"
    r"|\d+ > \d+|block range should work|retry with the range|try with this block range|reduc\w+ (?:your |the )?block"
    r"|narrow|too big",
    re.I,
)
_SUGGESTED_HEX = re.compile(r"\[\s*(0x[0-9a-f]+)\s*,\s*(0x[0-9a-f]+)\s*\]", re.I)
_SUGGESTED_DECIMAL = re.compile(r"with the range\s+(\d+)\s*-\s*(\d+)", re.I)
_NUMBER = r"(\d[\d,]*)\s*(k?)"
_CAPS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\(\d+ > {_NUMBER}\)",
        rf"limited to (?:an? |0 - )?{_NUMBER}(?! (?:logs|results|events))",
        rf"up to (?:an? )?{_NUMBER} block",
        rf"max(?:imum)?(?: block)? range(?: is| of|:)?\s*{_NUMBER}",
        rf"at most {_NUMBER} blocks",
        rf"maximum is set to {_NUMBER}",
        rf"(?:requested )?blocks? is {_NUMBER}",
        rf"block range exceeds {_NUMBER}",
        rf"blocks? distance:? {_NUMBER}",
        rf"maximum allowed is {_NUMBER} blocks",
        rf"range \d+ exceeds limit of {_NUMBER}",
        rf"range limit {_NUMBER}",
        rf"ranges over {_NUMBER} blocks",
        rf"range is too large, max is {_NUMBER} blocks",
        rf"exceeds? max(?:imum)? block range:? {_NUMBER}",
    )
)


def shown(message: str, secrets: tuple[str, ...] = ()) -> str:
    """A node's words as an error may quote them: short, without URLs, `secrets`, and what looks like one."""
    for secret in secrets:
        message = message.replace(secret, "[hidden]")
    return redact_text(_URL.sub("[url]", message))[:MESSAGE_MAX]


def from_error(method: str, code: Any, said: str | None, data: Any, secrets: tuple[str, ...] = ()) -> AppError:
    """The failure that a JSON-RPC error (its code, message and data) means for a call of `method`."""
    raw = said or "the node gave no reason"
    if isinstance(data, Mapping) and isinstance(data.get("payload"), str):
        raw = f"{raw}: {data['payload']}"  # one provider says what is wrong only there
    message = shown(raw, secrets)
    if _BEHIND.search(raw):
        return errors.BlockUnavailable(message)
    if method == "eth_getLogs":
        found = _range_failure(code, raw, message)
        if found:
            return found
    if method == "eth_sendRawTransaction":
        refusal = send_failures.refusal_of(raw)
        if refusal is not None:
            return refusal(message)
    return _any_failure(code, raw, message, data)


def _range_failure(code: Any, raw: str, message: str) -> AppError | None:
    if _RATE.search(raw) and not _SUGGESTED_HEX.search(raw):
        return errors.NodeRateLimited(message)
    if not _RANGE.search(raw) and not _TIMEOUT.search(raw) and code != -32005:
        return None
    return errors.RangeTooLarge(message, suggested_blocks=_suggested(raw), cap_blocks=_cap(raw))


def _suggested(raw: str) -> int | None:
    for pattern, base in ((_SUGGESTED_HEX, 16), (_SUGGESTED_DECIMAL, 10)):
        found = pattern.search(raw)
        if found:
            size = int(found[2], base) - int(found[1], base) + 1
            return size if size > 0 else None
    return None


def _cap(raw: str) -> int | None:
    for pattern in _CAPS:
        found = pattern.search(raw)
        if found:
            return int(found[1].replace(",", "")) * (1000 if found[2] else 1) or None
    return None


def _any_failure(code: Any, raw: str, message: str, data: Any) -> AppError:
    if code == 3 or code == -32015 or _REVERT.search(raw):
        return errors.ExecutionReverted(message, data=_returned(data))
    if code == -32601 or _MISSING.search(raw):
        return errors.MethodMissing(message)
    if code in (429, -32005) or _RATE.search(raw):
        return errors.NodeRateLimited(message)
    if _KEY.search(raw):
        return errors.BadKey(message)
    if _TIMEOUT.search(raw):
        return errors.NodeTimeout(message)
    if send_failures.FUNDS.search(raw):
        return errors.InsufficientFunds(message)
    if code in (-32600, -32602, -32700):
        return errors.NodeRefused(message)
    return errors.NodeFailed(message)


def _returned(data: Any) -> bytes:
    """The bytes a reverted call gave back: nodes send hex, text around hex, or an object holding one of these."""
    if isinstance(data, Mapping):
        data = data.get("data") or data.get("result")
        return _returned(data)
    found = _HEX.search(data) if isinstance(data, str) else None
    return bytes.fromhex(found[0][2:]) if found else b""


def from_status(status: int, retry_after_seconds: float | None, method: str = "") -> AppError:
    """The failure that an HTTP status means for a call of `method` when the body says nothing better."""
    said = f"HTTP status {status}"
    if status in (401, 403):
        return errors.BadKey(f"The node's provider does not accept our key ({said}).")
    if status == 429:
        return errors.NodeRateLimited(f"Too many requests ({said}).", retry_after_seconds=retry_after_seconds)
    if status == 413:
        return errors.RangeTooLarge(f"The node refuses an answer of that size ({said}).")
    # 503 is what a gateway says of a log query that its node gave up on.
    if status in (408, 504) or (status == 503 and method == "eth_getLogs"):
        return errors.NodeTimeout(f"The node did not answer in time ({said}).")
    if status >= 500:
        return errors.NodeUnreachable(f"The node cannot be reached ({said}).")
    return errors.NodeRefused(f"The node refused the request ({said}).")

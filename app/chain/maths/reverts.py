"""Why a contract reverted, in words. Pure.

Source: the Solidity documentation, "Panic via assert and Error via require": `Error(string)` is 0x08c379a0,
`Panic(uint256)` is 0x4e487b71. Vyper's `assert x, "why"` gives the same `Error(string)`.
"""

from __future__ import annotations

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
WORD = 32
SHOWN_CHARACTERS = 200


def revert_reason(data: bytes) -> str:
    """The reason in `data`, as a person reads it; a custom error is shown by its selector. Never raises: a contract
    may return any bytes, and then they are quoted."""
    selector, body = data[:4], data[4:]
    if not data:
        return "reverted without a reason"
    if selector == ERROR_STRING and (message := _string(body)) is not None:
        return message
    if selector == PANIC and len(body) == WORD:
        return f"panic {int.from_bytes(body, 'big'):#04x}"
    return f"custom error 0x{data[: SHOWN_CHARACTERS // 2].hex()}"


def _string(body: bytes) -> str | None:
    """The one ABI-encoded string in `body`, cut and without control characters; None when it is not one."""
    offset = int.from_bytes(body[:WORD], "big")
    if len(body) < 2 * WORD or offset + WORD > len(body):
        return None
    start = offset + WORD
    length = int.from_bytes(body[offset:start], "big")
    if start + length > len(body):
        return None
    text = body[start : start + length].decode(errors="replace")
    return "".join(c if c.isprintable() else "�" for c in text)[:SHOWN_CHARACTERS]

"""Structured logging for every process: one line an event, with the ids bound to the present work, and no secrets.

What a line may hold is decided here, by processors that see every record last, the standard library's too: secrets are
cut out by the name of their field and by their look, and nothing a caller sends can start a new line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import cached_property, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

REDACTED = "[redacted]"
MAX_DEPTH = 8

_SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secret_key|api_?key|private_?key|signer_key|authorization|cookie|mnemonic"
    r"|(access|refresh|auth|claim|metrics|bearer)_token)$|^token$"
)
_WORDS = "password|passwd|passphrase|secret|api_?key|token"
_SECRET_LOOKS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\b(wk_[0-9a-f]{32})_[A-Za-z0-9_-]+"), rf"\1_{REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), REDACTED),
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    # Thirty-two bytes are a transaction hash as often as a private key: only the word before them tells.
    (re.compile(r"(?i)((private|signer|signing|secret)[ _-]?key[^0-9a-z]{1,6})(0x)?[0-9a-f]{64}\b"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)\b({_WORDS})(['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&}}]+"), rf"\1\2{REDACTED}"),
)
# One of these is in every one of those looks: most texts have none, and are spared the six searches.
_SUSPICIOUS = ("bearer", "basic", "wk_", "eyj", "://", "key", "passw", "passphrase", "secret", "token")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

EventDict = MutableMapping[str, Any]


def get_logger(name: str) -> BoundLogger:
    """The logger of a module."""
    return cast("BoundLogger", _Logger(name))


class _Logger:
    """structlog's logger, loaded with its first line: it brings a console's colours along, and a command line that has
    nothing to say would wait for them.
    """

    def __init__(self, name: str):
        self._name = name

    @cached_property
    def _logger(self) -> BoundLogger:
        logger: BoundLogger = import_module("structlog").stdlib.get_logger(self._name)
        return logger

    def __getattr__(self, method: str) -> Any:
        return getattr(self._logger, method)


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A processor: every value without its secrets, and as something JSON can hold."""
    return redact_fields(event)


def escape_controls(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A processor for the console, where nothing escapes them: no newline or colour code but a traceback's own."""
    return {
        _escape(name): _escape(value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def redact_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same for any mapping that is stored for people to read."""
    return {str(name): _redact_field(name, value, 0) for name, value in fields.items()}


def redact_text(text: str) -> str:
    """`text` without what looks like a secret: tokens, API keys, private keys, passwords in URLs."""
    folded = text.casefold()
    if not any(part in folded for part in _SUSPICIOUS):
        return text
    for look, instead in _SECRET_LOOKS:
        text = look.sub(instead, text)
    return text


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


def _redact_field(name: object, value: Any, depth: int) -> Any:
    if value is not None and _names_a_secret(str(name)):
        return REDACTED
    return _redact_value(value, depth)


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name.lower().replace("-", "_")) is not None


def _redact_value(value: Any, depth: int) -> Any:
    if isinstance(value, str):  # most are
        return redact_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {redact_text(str(name)): _redact_field(name, inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(inner, depth + 1) for inner in value]
    return redact_text(str(value))

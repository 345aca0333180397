"""What a log line holds: the ids of the work, and never a secret or a forged line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from pydantic import SecretStr
from structlog.contextvars import bound_contextvars

from app.core.logging import get_logger
from config.logging import configure_logging
from config.settings import Settings

API_KEY = "wk_0192f0c1aaaa7bbb8cccddddeeeeffff_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE"
PRIVATE_KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


class Lines(io.StringIO):
    """What was logged."""

    def last(self) -> dict[str, Any]:
        return json.loads(self.getvalue().splitlines()[-1])


@pytest.fixture
def configured() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = before, level
    structlog.reset_defaults()


@pytest.fixture
def lines(configured: None) -> Lines:
    stream = Lines()
    configure_logging(Settings(_env_file=None), stream)
    return stream


def test_ids_are_on_the_lines_of_both_kinds_of_logger(lines: Lines) -> None:
    job = UUID("0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff")
    with bound_contextvars(job_id=job, kind="oracle.refresh_prices", request_id="r-1"):
        get_logger("one").info("structured", blocks=7)
        mine = lines.last()
        logging.getLogger("two").warning("plain %s", "text")
        theirs = lines.last()
    assert (mine["job_id"], mine["kind"], mine["request_id"], mine["blocks"]) == (
        str(job),
        "oracle.refresh_prices",
        "r-1",
        7,
    )
    assert (theirs["event"], theirs["level"], theirs["logger"], theirs["job_id"]) == (
        "plain text",
        "warning",
        "two",
        str(job),
    )


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", "hunter2"),
        ("new_password", "hunter2"),
        ("Authorization", "Digest abc"),
        ("X-API-Key", "anything"),
        ("refresh_token", "abc"),
        ("claim_token", "abc"),
        ("jwt_secret_key", "abc"),
        ("private_key", b"\x01\x02"),
        ("token", "abc"),
        ("event", f"Bearer {API_KEY}"),
        ("header", f"key was {API_KEY}."),
        ("header", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        ("text", "Authorization: Bearer abcdefghijklmnop"),
        ("url", "postgresql://wk:hunter2@db/wk"),
        ("url", "redis://:hunter2@127.0.0.1:6379/0"),
        ("text", f"signer_key=0x{PRIVATE_KEY}"),
        ("text", f"private key: {PRIVATE_KEY}"),
        ("dsn", "host=db password=hunter2 dbname=wk"),
        ("body", '{"password": "hunter2"}'),
        ("settings", SecretStr("hunter2")),
        ("nested", {"deep": [{"api_key": "hunter2"}]}),
        ("error", ValueError("redis://:hunter2@cache refused")),
    ],
)
def test_secrets_are_cut_out(lines: Lines, name: str, secret: Any) -> None:
    fields = {} if name == "event" else {name: secret}
    get_logger("test").info(secret if name == "event" else "something", **fields)
    text = lines.getvalue()
    assert "redacted" in text or "****" in text
    for part in (
        "hunter2",
        "Zm9vYmFy",
        "Digest abc",
        "anything",
        "eyJ",
        "abcdefghijklmnop",
        PRIVATE_KEY,
        '"abc"',
        "x02",
    ):
        assert part not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_token", "0x" + "ab" * 20),
        ("transaction_hash", "0x" + "ab" * 32),
        ("overlap_key", "index:1:perps:head"),
        ("trigger_key", "12345"),
        ("url", "https://example.org/a:b@c"),
        ("event_name", "key 0x" + "ab" * 32),
    ],
)
def test_what_is_no_secret_stays(lines: Lines, name: str, value: str) -> None:
    get_logger("test").info("something", **{name: value})
    assert lines.last()[name] == value


def test_a_secret_in_a_traceback_is_cut_out(lines: Lines) -> None:
    try:
        raise RuntimeError("cannot reach redis://:hunter2@cache")
    except RuntimeError:
        get_logger("test").exception("failed")
        logging.getLogger("plain").exception("failed too")
    assert "hunter2" not in lines.getvalue()
    assert all("RuntimeError" in json.loads(line)["exception"] for line in lines.getvalue().splitlines())


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_caller_cannot_forge_a_line(configured: None, log_format: str) -> None:
    stream = Lines()
    configure_logging(Settings(_env_file=None, log_format=log_format), stream)
    get_logger("test").info("path", path="/x\n2026-01-01 forged\x1b[31m\u2028", **{"a\nb": 1})
    logging.getLogger("plain").info("got %s", "x\r\nforged")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b[31m\u2028" not in stream.getvalue()


def test_an_unknown_object_is_logged_as_text(lines: Lines) -> None:
    get_logger("test").info("odd", thing=object, depth={"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}})
    assert "class 'object'" in lines.last()["thing"]

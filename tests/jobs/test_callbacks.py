"""Callbacks to a real receiver: signed, again until taken, refused at submission when they point inside."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from app.core.clock import utc_now
from app.core.errors import AddressRefused
from app.core.outbound.guarded import guarded_post
from app.jobs.errors import CallbackFailed
from app.jobs.services.callbacks import callback_key, check_url, deliver
from app.jobs.services.dispatch import start_callbacks
from tasks.base import process_message
from tasks.runtime import Runtime
from tests.jobs.conftest import ECHO

SECRET = b"a secret of thirty-two bytes or so"


class Receiver(ThreadingHTTPServer):
    """A client's endpoint: keeps what it got, answers as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = [200]
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def post(url: str, body: bytes, headers: Any) -> int:
    """As the worker posts, private addresses allowed."""
    return guarded_post(url, body, headers, allow_private=True).status


def test_an_ended_job_is_told_signed_and_once(
    context: Runtime, add: Callable[..., UUID], sql: Callable[..., Any], receiver: Receiver
) -> None:
    job_id = add(callback_url=receiver.url, params={"note": "x"})
    quiet = add()
    assert sql("SELECT count(*) FROM job_callbacks").scalar_one() == 0
    for each in (job_id, quiet):
        process_message(context, ECHO, lambda run: dict(run.params), [each])
    with Session(context.engine) as session:
        assert (start_callbacks(session), start_callbacks(session)) == (1, 0)
        session.commit()
        assert deliver(session, job_id, post=post, secret=SECRET, now=utc_now()) == {"status": 200}
        session.commit()
    delivery = sql("SELECT kind, params FROM jobs WHERE kind = 'jobs.deliver_callback'").one()
    assert delivery.params == {"job_id": str(job_id)}
    headers, body = receiver.got[0]
    told = json.loads(body)["job"]
    assert (told["id"], told["status"], told["result"]) == (str(job_id), "succeeded", {"note": "x", "number": 0})
    stamp, signature = (part.split("=")[1] for part in headers["Watchkeeper-Signature"].split(","))
    key = callback_key(SECRET, "user:test")
    assert signature == hmac.new(key, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert callback_key(SECRET, "user:other") != key
    assert sql("SELECT delivered_at IS NOT NULL FROM job_callbacks").scalar_one() is True


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_a_receiver_that_does_not_take_it_is_told_again(
    context: Runtime, add: Callable[..., UUID], sql: Callable[..., Any], receiver: Receiver, answer: int
) -> None:
    receiver.answers = [answer, 204]
    job_id = add(callback_url=receiver.url)
    sql("UPDATE jobs SET status = 'cancelled', finished_at = now()")
    with Session(context.engine) as session:
        with pytest.raises(CallbackFailed, match=str(answer)):
            deliver(session, job_id, post=post, secret=SECRET, now=utc_now())
        session.rollback()
        deliver(session, job_id, post=post, secret=SECRET, now=utc_now())
    assert CallbackFailed.retryable
    assert [headers["Watchkeeper-Delivery"] for headers, _ in receiver.got] == [str(job_id)] * 2
    assert receiver.got[0][1] == receiver.got[1][1]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "http://10.1.2.3/", "http://[::1]/", "http://169.254.169.254/latest", "ftp://x.org/", "x",
     "http://user:pw@example.org/", "https://example.org:22/"],
)  # fmt: skip
def test_a_callback_that_points_inside_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, allow_private=False)


def test_an_ordinary_callback_is_taken() -> None:
    check_url("https://example.org/hook?x=1", allow_private=False)

"""Calls outwards, over real sockets: what they refuse, what bounds them, and whom they speak to."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import AddressRefused, OutboundFailed
from app.core.outbound import Outbound, guarded_post
from app.core.outbound.addresses import is_public
from tests.core.raw_server import Server, says, says_once, silent

TLS = Path(__file__).parent / "tls"
# From IANA's registries of special-purpose addresses, and the ways to write IPv4 inside IPv6.
NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 172.31.255.255
    192.0.0.1 192.0.0.170 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1
    203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 100.100.100.200 168.63.129.16
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1
    2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1::1 2002:a00:1::1 2002:808:808::1 3fff::1 5f00::1 fc00::1
    fd12:3456::1 fd00:ec2::254 fe80::1 fe80::1%eth0 2606:4700::1111%eth0 fec0::1 ff02::1
"""
PUBLIC = "8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450::1"
# What needs no resolver to be refused, and so is refused at submission.
REFUSED_AT_SIGHT = """
    http://127.0.0.1/ http://127.0.0.1./ http://[::1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
    http://[2002:7f00:1::]/ http://[64:ff9b::a9fe:a9fe]/ http://[fd00:ec2::254]/ http://[fe80::1%25eth0]/
    http://[2606:4700::1111%25eth0]/ http://169.254.169.254/latest http://192.0.0.192/ http://100.64.0.1/ http://0/
    http://2130706433/ http://0x7f000001/ http://017700000001/ http://0x7f.1/ http://0177.0.0.1/ http://127.1/
    http://2852039166/ http://0300.0250.1.1/ http://10.256/ http://255.255.255.255/ http://224.0.0.1/
    http://localhost/ http://LOCALHOST./ http://a.localhost/ http://printer.local/ http://metadata.google.internal/
    http://db/ http://nas.home.arpa/ ftp://8.8.8.8/ file:///etc/passwd gopher://8.8.8.8/ dict://8.8.8.8:80/ //8.8.8.8/
    8.8.8.8 http:/// http:8.8.8.8 http://user@8.8.8.8/ http://:pw@8.8.8.8/ http://@8.8.8.8/ http://8.8.8.8@127.0.0.1/
    http://8.8.8.8\\@127.0.0.1/ http://127.0.0.1\\.example.org/
    http://%31%32%37.0.0.1/ http://127.0.0.1%2f.example.org/ http://8.8.8.8:22/ http://8.8.8.8:6379/ http://8.8.8.8:0/
    http://8.8.8.8:99999/ http://8.8.8.8:x/ http://8.8.8.8:80:80/ http://[::1 http://[::1]example.org/
    http://exämple.org/ http://①②⑦.⓪.⓪.①/ http://127。0。0。1/ http://１２７.0.0.1/ http://8.8.8.8:８０/
"""
REFUSED_WHEN_RESOLVED = "http://mixed.test/ https://inside.test/"
ODD_URLS = ["", " http://8.8.8.8/", "http://8.8.8.8/a b", "http://8.8.8.8/\r\nX: y", "http://8.8.8.8/" + "x" * 2000]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POLITE = says(OK)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"
CUT_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
TRICKLE = (b"HTTP/1.1 200 OK\r\n", *[b"X-Drop: 1\r\n"] * 500)
BODY_TRICKLE = (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"x"] * 500)
ENDLESS_TRICKLE = (b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 500)
CONTINUES = (b"HTTP/1.1 100 Continue\r\n\r\n",) * 500
TRAILERS = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-Drop: 1\r\n"] * 500)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers, and stops them after the test."""
    started: list[Server] = []

    def start(answer: Callable[[Server, Any], None] = POLITE, tls: ssl.SSLContext | None = None) -> Server:
        started.append(Server(answer, tls))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server: each name may be asked for once."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host.endswith(".test"):
            return [entry for address in known.pop(host) for entry in real(address, port, *args, **kwargs)]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def post(url: str, **options: Any) -> Any:
    return guarded_post(url, b"{}", {"Content-Type": "application/json"}, **({"allow_private": True} | options))


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", [*REFUSED_AT_SIGHT.split(), *REFUSED_WHEN_RESOLVED.split(), *ODD_URLS])
def test_urls_that_are_not_called(url: str, names: dict[str, list[str]]) -> None:
    names |= {"mixed.test": ["8.8.8.8", "10.0.0.1"], "inside.test": ["fd00::1"]}
    with pytest.raises(AddressRefused):
        post(url, allow_private=False)


def test_the_answer_and_what_was_asked(serve: Callable[..., Server], names: dict[str, list[str]]) -> None:
    server = serve()
    names["callback.test"] = ["127.0.0.1"]
    reply = post(f"http://callback.test:{server.port}/hook?a=1#frag")
    assert (reply.status, reply.body) == (200, b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert f"Host: callback.test:{server.port}".encode() in head
    assert b"Content-Type: application/json" in head
    assert body == b"{}"
    assert names == {}  # asked once: there is no second answer to be fooled by


def test_tls_names_the_host_though_it_connects_to_the_address(
    serve: Callable[..., Server], names: dict[str, list[str]]
) -> None:
    asked: list[str] = []
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(TLS / "callback.test.pem", TLS / "callback.test.key")
    theirs.sni_callback = lambda _socket, name, _context: asked.append(name)
    ours = ssl.create_default_context(cafile=str(TLS / "callback.test.pem"))
    server = serve(tls=theirs)
    names |= {"callback.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
    assert post(f"https://callback.test:{server.port}/", tls=ours).status == 200
    with pytest.raises(OutboundFailed, match="SSLCertVerificationError"):
        post(f"https://other.test:{server.port}/", tls=ours)
    assert asked == ["callback.test", "other.test"]


def test_an_unknown_authority_is_not_trusted(serve: Callable[..., Server], names: dict[str, list[str]]) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(TLS / "callback.test.pem", TLS / "callback.test.key")
    server = serve(tls=theirs)
    names["callback.test"] = ["127.0.0.1"]
    with pytest.raises(OutboundFailed, match="SSLCertVerificationError"):
        post(f"https://callback.test:{server.port}/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/inner", "file:///etc/passwd", "//127.0.0.1:{port}/", "/"])
def test_redirects_are_not_followed(serve: Callable[..., Server], status: int, target: str) -> None:
    inner = serve()
    head = f"HTTP/1.1 {status} Go\r\nLocation: {target.format(port=inner.port)}\r\nContent-Length: 0\r\n\r\n"
    server = serve(says(head.encode()))
    assert post(f"http://127.0.0.1:{server.port}/").status == status
    assert (len(server.requests), inner.connections) == (1, 0)


def test_a_name_that_moves_is_called_where_it_was_checked(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: each answer of the name server is another address, and only the first was looked at."""
    server = serve()
    answers = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        return real(answers.pop(0) if host == "rebinding.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert post(f"http://rebinding.test:{server.port}/").status == 200
    assert answers == ["127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize("addresses", [["8.8.8.8", "10.0.0.1"], ["fd00::1"], ["::ffff:169.254.169.254"], ["127.0.0.1"]])
def test_one_address_inside_is_enough_to_refuse_a_name(
    serve: Callable[..., Server], names: dict[str, list[str]], addresses: list[str]
) -> None:
    names["moved.test"] = addresses
    with pytest.raises(AddressRefused):
        post("http://moved.test:8080/", allow_private=False)
    assert names == {}


@pytest.mark.parametrize(
    ("answer", "scheme"),
    [
        (silent, "http"),
        (silent, "https"),
        (says(*TRICKLE, gap_seconds=0.05), "http"),
        (says(*BODY_TRICKLE, gap_seconds=0.05), "http"),
        (says(*ENDLESS_TRICKLE, gap_seconds=0.05), "http"),
        (says(*CONTINUES, gap_seconds=0.05), "http"),
        (says(*TRAILERS, gap_seconds=0.05), "http"),
    ],
    ids=[
        "silence",
        "no handshake",
        "slow headers",
        "slow body",
        "slow body without length",
        "not yet",
        "slow trailers",
    ],
)
def test_one_deadline_bounds_it_all(serve: Callable[..., Server], answer: Any, scheme: str) -> None:
    server = serve(answer)
    started = time.monotonic()
    with pytest.raises(OutboundFailed, match="took too long"):
        post(f"{scheme}://127.0.0.1:{server.port}/", timeout_seconds=0.4)
    assert 0.3 < time.monotonic() - started < 2


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answered.wait(30) and [])
    with pytest.raises(OutboundFailed, match="not resolved in time"):
        post("http://callback.test/", timeout_seconds=0.2)
    answered.set()


@pytest.mark.parametrize(
    "answer",
    [
        says_once(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000),
        says_once(CUT),
        says_once(CUT_CHUNKS),
        says_once(),
        says_once(b"SSH-2.0-inner"),
        says_once(b"HTTP/1.1 200 OK\r\n" + b"X-inner: 1\r\n" * 101 + b"\r\n"),
        says_once(b"HTTP/1.1 200 OK\r\nX-inner: " + b"x" * 70_000 + b"\r\n\r\n"),
    ],
    ids=["too large", "cut short", "cut short in chunks", "hung up", "not HTTP", "many headers", "a long header"],
)
def test_answers_that_are_none(serve: Callable[..., Server], answer: Any) -> None:
    with pytest.raises(OutboundFailed) as failed:
        post(f"http://127.0.0.1:{serve(answer).port}/")
    # Neither the error nor the causes that a log shows with it repeat what was said.
    assert "inner" not in "".join(traceback.format_exception(failed.value, limit=0))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutboundFailed, match="ConnectionRefusedError"):
        post(f"http://127.0.0.1:{port}/")


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    pool = Outbound(pool_size=2, connect_seconds=1, read_seconds=0.5, deadline_seconds=1)
    yield pool
    pool.close()


def test_the_pool_keeps_its_connections(serve: Callable[..., Server], outbound: Outbound) -> None:
    server = serve()
    for _ in range(3):
        reply = outbound.call("GET", f"http://127.0.0.1:{server.port}/prices", params={"ids": "1"})
        assert (reply.status, reply.body) == (200, b"ok")
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /prices?ids=1 ")


def test_the_pool_follows_no_redirect(serve: Callable[..., Server], outbound: Outbound) -> None:
    server = serve(says(b"HTTP/1.1 302 Go\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"))
    assert outbound.call("GET", f"http://127.0.0.1:{server.port}/").status == 302
    assert len(server.requests) == 1


def _packed(size: int) -> bytes:
    body = gzip.compress(b"\x00" * size)
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_an_answer_packed_many_times_over_never_lies_in_memory_whole(
    serve: Callable[..., Server], outbound: Outbound
) -> None:
    once = gzip.compress(bytes(100_000_000), 1)
    body = gzip.compress(once)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    packed = says(head + body)
    tracemalloc.start()
    with pytest.raises(OutboundFailed, match="larger than 100000"):
        outbound.call("GET", f"http://127.0.0.1:{serve(packed).port}/", max_bytes=100_000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10_000_000
    assert len(post(f"http://127.0.0.1:{serve(packed).port}/").body) == len(body), (
        "a receiver's answer is not unpacked at all"
    )


def test_a_packed_answer_is_unpacked_and_its_size_bounded(serve: Callable[..., Server], outbound: Outbound) -> None:
    assert len(outbound.call("GET", f"http://127.0.0.1:{serve(says(_packed(50_000))).port}/").body) == 50_000
    with pytest.raises(OutboundFailed, match="larger than 100000"):
        outbound.call("GET", f"http://127.0.0.1:{serve(says(_packed(5_000_000))).port}/", max_bytes=100_000)


@pytest.mark.parametrize(
    "answer",
    [silent, says(*BODY_TRICKLE, gap_seconds=0.05), says_once(CUT), says_once(CUT_CHUNKS)],
    ids=["silence", "slow body", "cut short", "cut short in chunks"],
)
def test_the_pool_gives_up_and_names_no_key(serve: Callable[..., Server], outbound: Outbound, answer: Any) -> None:
    started = time.monotonic()
    with pytest.raises(OutboundFailed) as failed:
        outbound.call("GET", f"http://127.0.0.1:{serve(answer).port}/v2/secret-key")
    assert time.monotonic() - started < 2
    assert "secret-key" not in "".join(traceback.format_exception(failed.value, limit=0))

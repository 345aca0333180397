"""The frame of every request: ids, headers, hosts, sizes, proxies, origins, the access line, metrics."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.core.metrics import Metrics, SqlGauge
from config.groups import HttpSettings
from config.logging import configure_logging
from config.settings import Settings
from tests.core.test_logging import configured  # noqa: F401  (a fixture)
from tests.core.test_problems import problem

ALICE = {"Authorization": "Bearer alice"}
MakeProbe = Callable[..., FlaskClient]


def with_http(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"http": settings.http.model_copy(update=changes)})


def test_a_sane_request_id_is_taken_and_another_made(probe: FlaskClient) -> None:
    given = "0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff"
    assert probe.get("/v1/probe/me", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    for odd in ("x", "a" * 65, "has space", "semi;colon", "ümlaut-ümlaut"):
        made = probe.get("/v1/probe/me", headers={"X-Request-ID": odd}).headers["X-Request-ID"]
        assert made != odd
        assert len(made) == 36


def test_every_answer_has_the_security_headers(probe: FlaskClient) -> None:
    for path in ("/v1/probe/sql", "/v1/probe/crash", "/nowhere", "/docs"):
        headers = probe.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in headers


def test_production_insists_on_tls(make_probe: MakeProbe, settings: Settings) -> None:
    production = settings.model_copy(update={"environment": "production"})
    assert "max-age=" in make_probe(production).get("/v1/probe/sql").headers["Strict-Transport-Security"]


def test_answers_are_not_stored_unless_they_say_so(probe: FlaskClient) -> None:
    for path in ("/v1/probe/me", "/v1/probe/sql", "/nowhere"):
        assert probe.get(path, headers=ALICE).headers["Cache-Control"] == "no-store"
    assert probe.get("/openapi.json").headers["Cache-Control"].startswith("public")
    cached = probe.get("/v1/probe/cached", headers=ALICE)
    assert cached.headers["Cache-Control"] == "private, max-age=5"
    assert set(cached.vary) == {"Authorization", "X-API-Key"}


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.2", "", "[::1", "localhost:x", "x\\localhost"]
)
def test_a_host_that_is_not_ours(probe: FlaskClient, host: str) -> None:
    problem(probe.get("/v1/probe/sql", headers={"Host": host}), 400, "core.untrusted_host")


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "127.0.0.1:1", "[::1]:8000"])
def test_a_host_that_is_ours(probe: FlaskClient, host: str) -> None:
    assert probe.get("/v1/probe/sql", headers={"Host": host}).status_code == 200


def test_a_host_pattern_and_every_host(make_probe: MakeProbe, settings: Settings) -> None:
    some = make_probe(with_http(settings, trusted_hosts=(".example.org",)))
    assert some.get("/v1/probe/sql", headers={"Host": "api.example.org"}).status_code == 200
    assert some.get("/v1/probe/sql", headers={"Host": "example.org"}).status_code == 400
    every = make_probe(with_http(settings, trusted_hosts=("*",)))
    assert every.get("/v1/probe/sql", headers={"Host": "any.thing"}).status_code == 200


class Endless(io.RawIOBase):
    """A body that never ends, as chunks would bring it."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        buffer[:] = b" " * len(buffer)
        return len(buffer)


def test_a_body_that_is_too_large(probe: FlaskClient, shared_settings: Settings) -> None:
    writer = {"Authorization": "Bearer alice+jobs:write"}
    size = shared_settings.http.max_body_bytes
    fits = json.dumps({"name": "x"}).ljust(size)
    sent = {"content_type": "application/json", "headers": writer}
    for environ in ({}, {"wsgi.input_terminated": True}):
        assert probe.post("/v1/probe/body", data=fits, environ_overrides=environ, **sent).status_code == 201
    problem(probe.post("/v1/probe/body", data=fits + " ", **sent), 413, "core.body_too_large")
    endless = Endless()
    environ = {"wsgi.input": endless, "wsgi.input_terminated": True}  # as granian passes chunks on
    response = probe.post("/v1/probe/body", environ_overrides=environ, **sent)
    problem(response, 413, "core.body_too_large")
    assert endless.given <= size + io.DEFAULT_BUFFER_SIZE


def test_only_trusted_hops_say_who_calls(make_probe: MakeProbe, settings: Settings) -> None:
    """Seen through the limit by address: two callers behind one proxy have one each."""
    forwarded = [{"X-Forwarded-For": address} for address in ("203.0.113.7", "203.0.113.8")]
    behind = make_probe(with_http(settings, trusted_proxies=1, ip_limit="1 per minute"))
    assert [behind.get("/v1/probe/sql", headers=hop).status_code for hop in forwarded] == [200, 200]
    spoofed = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    assert behind.get("/v1/probe/sql", headers=spoofed).status_code == 429
    direct = make_probe(with_http(settings, ip_limit="1 per minute"))
    assert [direct.get("/v1/probe/sql", headers=hop).status_code for hop in forwarded] == [200, 429]


def test_origins(make_probe: MakeProbe, settings: Settings) -> None:
    probe = make_probe(with_http(settings, cors_origins=("https://app.example.org",)))
    ours = {"Origin": "https://app.example.org"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
    preflight = probe.options("/v1/probe/body", headers=ours | asks)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert preflight.headers["Access-Control-Allow-Headers"].lower() == "authorization, idempotency-key"
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    refused = probe.get("/v1/probe/me", headers=ours)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    for origin in ("https://evil.example", "https://app.example.org.evil.example", "null"):
        answer = probe.get("/v1/probe/sql", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_origins_none_is_let_in(probe: FlaskClient) -> None:
    answer = probe.get("/v1/probe/sql", headers={"Origin": "https://app.example.org"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.usefixtures("configured")
def test_the_access_line(probe: FlaskClient, shared_settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(shared_settings, stream)
    answer = probe.get("/v1/probe/open/x%0Ay?token=hunter2", headers={"X-Request-ID": "request-0001"})
    assert answer.status_code == 422
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert line["event"] == "request"
    assert line["request_id"] == "request-0001"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/probe/open/<string:name>", 422)
    assert line["ip"] == "127.0.0.1"
    assert line["milliseconds"] > 0
    assert "hunter2" not in stream.getvalue()
    stream.truncate(0)
    probe.get("/v1/probe/me", headers=ALICE)
    assert json.loads(stream.getvalue().strip("\x00\n"))["principal"] == "user:alice"


@pytest.mark.usefixtures("configured")
def test_a_crash_is_logged_with_its_traceback_and_id(probe: FlaskClient, shared_settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(shared_settings, stream)
    answer = probe.get("/v1/probe/crash")
    crash = json.loads(stream.getvalue().splitlines()[0])
    assert crash["request_id"] == answer.get_json()["request_id"]
    assert crash["level"] == "error"
    assert "RuntimeError" in crash["exception"]


def test_requests_are_counted_by_route(own_probe: FlaskClient, session: Session) -> None:
    for number in range(3):
        own_probe.get(f"/v1/probe/open/{number}")
        own_probe.get(f"/nowhere/{number}")
    own_probe.open("/v1/probe/sql", method="BREW")
    text = own_probe.application.extensions["metrics"].exposition(session).decode()
    assert 'http_requests_total{method="GET",route="/v1/probe/open/<string:name>",status="200"} 3.0' in text
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 3.0' in text
    assert 'http_requests_total{method="other",route="unmatched",status="405"} 1.0' in text
    assert 'http_request_seconds_count{method="GET",route="unmatched"} 3.0' in text


def test_a_gauge_is_read_from_the_database(session: Session) -> None:
    gauge = SqlGauge("depth", "Jobs waiting", "VALUES ('chain', 3), ('or\"acle', 0)", ("queue",))
    text = Metrics([gauge]).exposition(session).decode()
    assert 'depth{queue="chain"} 3.0' in text
    assert 'depth{queue="or\\"acle"} 0.0' in text
    assert "# TYPE depth gauge" in text


def test_the_processes_of_one_port_are_counted_together(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    count = "from app.core.metrics import Metrics; m = Metrics(); m.requests.labels('GET', '/x', '200').inc()"
    show = f"{count}; print(m.exposition(None).decode())"
    subprocess.run([sys.executable, "-c", count], check=True, env=environment)
    shown = subprocess.run([sys.executable, "-c", show], check=True, env=environment, capture_output=True, text=True)
    assert 'http_requests_total{method="GET",route="/x",status="200"} 2.0' in shown.stdout


def test_the_settings_of_a_test_are_not_those_of_production() -> None:
    with pytest.raises(ValueError, match="PASSWORD"):
        Settings(
            _env_file=None, environment="production", accounts={"password_time_cost": 1, "password_memory_kib": 64}
        )
    assert HttpSettings().max_body_bytes == 256 * 1024

"""One `make up`, every role of the table, looked at from all sides: who is let in, and where its secrets are.

One run serves all of these tests, in their order; the last one stops it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from tests.ops.conftest import alive_in
from tests.security.search import Search
from tests.security.visit import Visit
from tests.security.whole_run import WholeRun

pytestmark = pytest.mark.flow

ROLES = ["supervisor", "postgres", "broker", "cache", "anvil", "price-server", "api", "dispatcher", "stream"]
ROLES += ["worker-chain", "worker-perps", "worker-default", "price-stream", "beat", "flower"]
KEPT = ("secrets.json", "stack.json", "broker/broker.conf", "cache/cache.conf")
"""The files that exist to hold a secret."""

FLOWER_PAGES = """
    / /workers /worker/{worker} /tasks /tasks/datatable?draw=1&start=0&length=50&search[value]=&order[0][column]=0
    /task/{task} /broker /api/workers?refresh=1 /api/tasks /api/task/types /api/queues/length /api/task/info/{task}
    /metrics /healthcheck /static/css/flower.css /nowhere
"""
FLOWER_CHANGES = """
    /api/worker/shutdown/{worker} /api/worker/pool/restart/{worker} /api/worker/pool/grow/{worker}
    /api/worker/pool/shrink/{worker} /api/worker/pool/autoscale/{worker} /api/worker/queue/add-consumer/{worker}
    /api/worker/queue/cancel-consumer/{worker} /api/task/apply/jobs.probe /api/task/async-apply/jobs.probe
    /api/task/send-task/jobs.probe /api/task/abort/{task} /api/task/timeout/jobs.probe /api/task/rate-limit/jobs.probe
    /api/task/revoke/{task}
"""


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, anvil_binary: object, whole_stack_alone: None
) -> Iterator[WholeRun]:
    """The run, started."""
    run = WholeRun(tmp_path_factory.mktemp("whole") / "a home")
    try:
        run.start()
        yield run
    finally:
        run.end()


@pytest.fixture(scope="module")
def visit(whole: WholeRun) -> Visit:
    """A day's business on it: people sign in, jobs run, a transaction is signed and mined, things go wrong."""
    visit = Visit(whole)
    whole.fund_keeper()
    visit.sign_in()
    visit.work()
    visit.send_a_transaction()
    return visit


def test_every_role_runs_and_answers(whole: WholeRun) -> None:
    rows = json.loads(whole.manage("status", "--json").stdout)
    assert [row["role"] for row in rows] == ROLES
    assert [row["role"] for row in rows if not row["alive"]] == []
    assert requests.get(f"{whole.api}/health/live", timeout=5).json()["status"] == "live"


def flower_urls(visit: Visit, paths: str) -> list[str]:
    """The paths with a worker and a task that there are."""
    worker = first_in(visit, "/api/workers?refresh=1")
    task = first_in(visit, "/api/tasks?limit=1")
    return [path.format(worker=worker, task=task) for path in paths.split()]


def first_in(visit: Visit, path: str) -> str:
    """The first name of a list of Flower's, which hears of things a moment after they happened."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for name in ask_flower(visit, path).json():
            return str(name)
        time.sleep(0.2)
    raise AssertionError(f"Flower lists nothing at {path}")


def ask_flower(visit: Visit, path: str, method: str = "GET") -> requests.Response:
    """As the operator."""
    return requests.request(method, visit.run.flower + path, auth=visit.run.flower_login, timeout=30)


def test_flower_answers_nobody_without_the_password(visit: Visit) -> None:
    user, password = visit.run.flower_login
    strangers = [None, (user, ""), (user, password.split(",")[0]), ("", password), (user, password + "x"), ("x", "ü")]
    for path in flower_urls(visit, FLOWER_PAGES + FLOWER_CHANGES):
        for method in ("GET", "POST", "OPTIONS"):
            assert requests.request(method, visit.run.flower + path, timeout=5).status_code == 401, (method, path)
    for stranger in strangers:
        answer = requests.get(f"{visit.run.flower}/metrics", auth=stranger, timeout=5)
        assert (answer.status_code, answer.text) == (401, "Access denied")
    for header in ("Basic", "Basic !", "Bearer x", f"Basic {user}:{password}"):
        answer = requests.get(f"{visit.run.flower}/", headers={"Authorization": header}, timeout=5)
        assert answer.status_code == 401


def test_flower_shows_the_operator_everything_and_changes_nothing(visit: Visit) -> None:
    for path in flower_urls(visit, FLOWER_PAGES):
        answer = ask_flower(visit, path)
        assert answer.status_code == (404 if path == "/nowhere" else 200), path
        visit.answers.append((f"Flower {path}", answer.content))
    workers = ask_flower(visit, "/api/workers?refresh=1").json()
    assert {name.split("@")[0] for name in workers} == {"chain", "perps", "default"}
    for path in flower_urls(visit, FLOWER_CHANGES):
        assert ask_flower(visit, path, "POST").status_code == 403, path


def test_metrics_are_for_who_holds_the_token(visit: Visit) -> None:
    token = visit.run.secrets()["metrics"]
    for header in ("", token[:-1], f"Bearer {token}x", "Bearer ", f"Basic {token}"):
        answer = visit.ask("GET", "/metrics", headers={"Authorization": header})
        assert answer.status_code == 401
        assert b"http_requests" not in answer.content
    answer = visit.ask("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
    assert b"http_requests_total" in answer.content


def faults(visit: Visit) -> list[str]:
    """Everywhere a secret of this run is to be seen."""
    whole = visit.run
    search = Search(whole.secrets() | visit.secrets)
    return [
        *search.logs(whole.run.logs),
        *search.tables(whole.engine()),
        *search.command_lines(alive_in(whole.run)),
        *search.files(whole.run.path, KEPT),
        *search.content("what the supervisor said", "".join(whole.said).encode()),
        *(fault for place, answer in visit.answers for fault in search.content(place, answer)),
    ]


def test_no_secret_is_to_be_seen_anywhere(visit: Visit) -> None:
    for path in flower_urls(visit, FLOWER_PAGES):
        visit.answers.append((f"Flower {path}", ask_flower(visit, path).content))
    assert len(visit.answers) > 40
    assert faults(visit) == []


def test_the_search_finds_a_secret_in_each_of_its_places(visit: Visit) -> None:
    whole = visit.run
    with (whole.run.logs / "beat.log").open("a") as log:
        log.write(f"signing with {whole.key[2:].upper()}")
    (whole.run.path / "forgotten.txt").write_text(whole.keystore_password)
    (whole.run.path / "stack.json").chmod(0o644)
    job = {"kind": "jobs.probe", "params": {"note": f"https://x.test/?key={whole.hermes_key}"}}
    path = f"/v1/jobs/{visit.ask('POST', '/v1/jobs', kept=False, json=job).json()['id']}"
    visit.ask("GET", path)
    waiting = [sys.executable, "-c", "input()", whole.flower_login[1]]
    with subprocess.Popen(waiting, cwd=whole.run.path, stdin=subprocess.PIPE) as shown:
        found = faults(visit)
        shown.communicate(b"\n")
    (whole.run.path / "stack.json").chmod(0o600)
    public = [fault for fault in found if fault.startswith("stack.json")]
    assert len(public) > 5
    assert sorted(set(found) - set(public)) == [
        f"GET {path}: Hermes's key",
        "beat.log: the signing key",
        f"command line of {' '.join(waiting)[:60]}: the Flower password",
        "forgotten.txt: the keystore's password",
        "logs/beat.log: the signing key",
        "public.jobs: Hermes's key",
    ]


def test_it_stops_when_told(whole: WholeRun) -> None:
    assert whole.stop() == 0
    assert not [line for line in whole.said if "killed" in line], "each stopped by itself"
    assert alive_in(whole.run) == []

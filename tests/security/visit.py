"""What people do to the whole run, and every answer they get: material for the search."""

from __future__ import annotations

import time
from typing import Any

import requests
from sqlalchemy import text

from tests.security.whole_run import WholeRun

MINED = text("SELECT count(*) FROM chain_attempts WHERE outcome = 'mined'")
PASSWORD = "correct horse battery staple, once more"
MISTYPED = "hunter2-typed-into-the-wrong-field"


class Visit:
    """What a client and an operator do to the run, and every answer they get."""

    def __init__(self, run: WholeRun):
        self.run = run
        self.secrets = {"the user's password": PASSWORD, "a mistyped password": MISTYPED}
        self.answers: list[tuple[str, bytes]] = []
        self._headers: dict[str, str] = {}

    def ask(self, method: str, path: str, *, kept: bool = True, **options: Any) -> requests.Response:
        """A request to the API; its whole answer is searched later, unless it is there to hand a secret over."""
        headers = self._headers | options.pop("headers", {})
        answer = requests.request(method, self.run.api + path, headers=headers, timeout=60, **options)
        if kept:
            self.answers.append((f"{method} {path}", f"{answer.headers}\n".encode() + answer.content))
        return answer

    def sign_in(self) -> None:
        """A user of every scope, all of whose credentials are secrets."""
        made = self.run.manage("user", "create", "alice", "--scope", "admin", given=PASSWORD)
        assert made.returncode == 0, made.stderr
        for login, password in (("alice", MISTYPED), (MISTYPED, PASSWORD), ("alice", PASSWORD)):
            tokens = self.ask("POST", "/v1/auth/login", kept=False, json={"login": login, "password": password}).json()
        refreshed = self.ask("POST", "/v1/auth/refresh", kept=False, json={"refresh_token": tokens["refresh_token"]})
        self._keep("the first ", tokens)
        self._keep("the second ", refreshed.json())
        self._headers = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
        body = {"name": "robot", "scopes": ["jobs:read"]}
        key = self.ask("POST", "/v1/api-keys", kept=False, json=body).json()
        self.secrets["the API key"] = key["key"].split("_", 2)[2]  # which may hold one itself
        self.ask("GET", "/v1/jobs", headers={"Authorization": "", "X-API-Key": key["key"]})
        self.ask("GET", f"/v1/jobs?api_key={key['key']}")  # where it does not belong
        self.secrets["the callback key"] = self.ask("GET", "/v1/callback-key", kept=False).json()["key"]

    def _keep(self, which: str, tokens: dict[str, str]) -> None:
        for name in ("access_token", "refresh_token"):
            self.secrets[which + name] = tokens[name].rpartition(".")[2]  # the signature: the rest is no secret

    def work(self) -> None:
        """A job done, every list looked at, errors provoked."""
        job = self.ask("POST", "/v1/jobs", json={"kind": "jobs.probe"}, headers={"Prefer": "wait=20"}).json()
        assert job["status"] == "succeeded", job
        for path, methods in self.ask("GET", "/openapi.json").json()["paths"].items():
            if "get" in methods and path != "/v1/callback-key":
                self.ask("GET", path.replace("{job_id}", job["id"]).replace("{", "").replace("}", ""))
        self.ask("GET", "/docs")
        self.ask("POST", "/v1/users", json={"login": "alice", "password": PASSWORD, "scopes": []})  # there is one
        self.ask("POST", "/v1/users", json={"login": "bob", "password": PASSWORD, "scope": [PASSWORD]})
        self.ask("POST", "/v1/auth/login", data=f'{{"login": "alice", "password": "{PASSWORD}"')  # cut short

    def send_a_transaction(self) -> None:
        """The keeper settles funding: its key signs, and the transaction is mined."""
        engine = self.run.engine()
        deadline = time.monotonic() + 60
        while True:
            self.ask("POST", "/v1/schedules/funding/run")
            with engine.connect() as connection:
                if connection.execute(MINED).scalar_one():
                    return
            assert time.monotonic() < deadline, "no transaction was mined"
            time.sleep(0.5)

"""One `make up` in a copy of the checkout, with secrets that can be told from anything else."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import requests
from eth_account import Account
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from app.ops.adapters import process_table
from app.ops.adapters.process import free_port
from app.ops.adapters.run_folder import RunFolder
from tests.ops.conftest import ROOT, RUNS, copied_checkout

START_SECONDS = 240
ONE_ETHER_WEI = 10**18
SHORT_INTERVALS = {"CHAIN__CONFIRMATIONS": "1", "CHAIN__WATCH_SECONDS": "1", "PERPS__PRICE_SECONDS": "2"}


class WholeRun:
    """The stack as a process, what it was given, what it said, and what was learnt of it."""

    def __init__(self, home: Path):
        self.checkout = copied_checkout(home)
        self.run = RunFolder(self.checkout / ".run")
        self.run.open()
        (self.run.path / "node").symlink_to(ROOT / ".run" / "node")
        self.flower_login = ("operator", f"commas, and:colons,{secrets.token_urlsafe(12)}")
        self.key = "0x" + secrets.token_hex(32)
        self.keystore_password = f"keystore-{secrets.token_urlsafe(24)}"
        self.hermes_key = f"hermes-{secrets.token_urlsafe(24)}"
        self.ports = {name: str(free_port()) for name in ("HTTP__PORT", "STREAM__PORT", "FLOWER__PORT")}
        self.said: list[str] = []
        self._popen: subprocess.Popen[str] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['HTTP__PORT']}"

    @property
    def flower(self) -> str:
        return f"http://127.0.0.1:{self.ports['FLOWER__PORT']}"

    def start(self) -> None:
        """Start, and read along until it runs."""
        given = {
            **self.ports,
            **SHORT_INTERVALS,
            "LOG_LEVEL": "DEBUG",  # what is not even said at this level is said at none
            "FLOWER__PASSWORD": self.flower_login[1],
            "ORACLE__HERMES_API_KEY": self.hermes_key,
            "CHAIN__KEYSTORE_PATH": str(self._keystore()),
            "CHAIN__KEYSTORE_PASSWORD": self.keystore_password,
        }
        command = [sys.executable, "manage.py", "up"]
        self._popen = subprocess.Popen(
            command,
            cwd=self.checkout,
            env=os.environ | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with self._patience(START_SECONDS):
            for line in self._popen.stdout:
                self.said.append(line)
                if RUNS in line:
                    return
        raise AssertionError("".join(self.said))

    def stop(self) -> int:
        """As Ctrl-C does; returns the exit code."""
        with self._patience(60):
            self._popen.send_signal(signal.SIGINT)
            self.said += self._popen.stdout
            return self._popen.wait()

    def end(self) -> None:
        """Whatever became of it, nothing stays."""
        if self._popen is not None:
            self._popen.terminate()
            self._popen.wait()
            self._popen.stdout.close()
        process_table.sweep(self.run.path, 5)

    def environment(self) -> dict[str, str]:
        """The variables that the stack made."""
        return dict(self.run.running_stack().environment)

    def engine(self) -> Engine:
        """An engine for the test's own looks."""
        return create_engine(self.environment()["DATABASE_URL"], poolclass=NullPool)

    def node(self, method: str, *params: Any) -> Any:
        """A call to the chain."""
        url = json.loads(self.environment()["CHAIN__RPC_URLS"])[0]
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return requests.post(url, json=call, timeout=10).json()["result"]

    def fund_keeper(self) -> None:
        """The keeper's key is nobody else's, so it has to be given its gas."""
        self.node("anvil_setBalance", Account.from_key(self.key).address, hex(10 * ONE_ETHER_WEI))

    def manage(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A verb of `manage.py`."""
        command: Sequence[str] = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=self.checkout, input=given, capture_output=True, text=True, check=False)

    def secrets(self) -> dict[str, str]:
        """Every secret it was given or made, by name."""
        return self.run.secrets() | {
            "the Flower password": self.flower_login[1],
            "the signing key": self.key,
            "the keystore's password": self.keystore_password,
            "Hermes's key": self.hermes_key,
        }

    def _keystore(self) -> Path:
        path = self.checkout / "keystore.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(Account.encrypt(self.key, self.keystore_password, kdf="scrypt", iterations=2)))
        return path

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        timer = Timer(seconds, self._popen.kill)
        timer.start()
        yield
        timer.cancel()

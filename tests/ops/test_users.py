"""As root, as root where user namespaces are not allowed, as an ordinary user: it runs, and changes nobody's modes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from app.ops.adapters.embedded_postgres import binaries
from app.ops.adapters.embedded_valkey import binary
from app.ops.adapters.run_folder import RunFolder
from tests.ops.conftest import RUNS, StackProcess, alive_in

Start = Callable[..., StackProcess]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

NOBODY = ("setpriv", "--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--clear-groups")
# The interpreter may lie in root's home (0700). This lets `nobody` read and enter there, and write nothing more.
READS_ALL = ("--securebits=+no_setuid_fixup", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def modes_and_owners(checkout: Path) -> dict[Path, tuple[int, int, int]]:
    """Of the checkout's files, of every folder above it, and of where the servers' programs come from."""
    programs = [*binaries().iterdir(), binary()]
    watched = {
        *checkout.rglob("*"),
        *checkout.parents,
        *programs,
        *(folder for path in programs for folder in path.parents),
    }
    states = {path: path.lstat() for path in watched if not path.is_relative_to(checkout / ".run")}
    return {path: (state.st_mode, state.st_uid, state.st_gid) for path, state in states.items()}


def starts_and_stops(stack: Start, checkout: Path, prefix: tuple[str, ...] = (), **environment: str) -> int:
    """A whole run in the copy; returns the user id that Postgres's data belongs to."""
    run = RunFolder(checkout / ".run")
    roles = ("postgres", "broker", "cache", "migrate")
    process = stack(*roles, run=run, prefix=prefix, cwd=checkout, environment=environment)
    process.wait_for(RUNS)
    owner = (run.path / "postgres" / "data" / "PG_VERSION").stat().st_uid
    process.send(signal.SIGTERM)
    assert process.end() == 0, process.text
    assert alive_in(run) == []
    return owner


def test_this_user(stack: Start, checkout: Path) -> None:
    before = modes_and_owners(checkout)
    assert starts_and_stops(stack, checkout) == os.geteuid()
    assert modes_and_owners(checkout).items() >= before.items()


@needs_root
def test_root_without_user_namespaces_becomes_nobody_and_back(stack: Start, checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("setpriv", "true"):  # and no `unshare`
        (tools / name).symlink_to(str(shutil.which(name)))
    packages = checkout.parent / "packages"  # the programs, too, where only the owner may enter
    for folder in (binaries().parents[1], binaries().parents[2] / "embedded_postgres.libs"):
        shutil.copytree(folder, packages / folder.name)
    before = modes_and_owners(checkout)
    outside = {"PATH": str(tools), "PYTHONPATH": str(packages)}
    assert starts_and_stops(stack, checkout, **outside) == pwd.getpwnam("nobody").pw_uid
    assert starts_and_stops(stack, checkout) in (0, pwd.getpwnam("nobody").pw_uid), "the same data, the other way"
    assert modes_and_owners(checkout).items() >= before.items()


@needs_root
def test_root_with_neither_way_gets_one_sentence(stack: Start, checkout: Path, tmp_path: Path) -> None:
    run = RunFolder(checkout / ".run")
    process = stack(run=run, cwd=checkout, environment={"PATH": str(tmp_path)})
    assert process.end() == 1
    assert process.text.startswith("FAILED Postgres does not run as root")
    assert process.text.count("\n") == 1


@needs_root
def test_an_ordinary_user(stack: Start, checkout: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for path in (checkout.parent, checkout, *checkout.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    before = modes_and_owners(checkout)
    assert starts_and_stops(stack, checkout, (*NOBODY, *READS_ALL), HOME=str(checkout.parent)) == nobody.pw_uid
    assert modes_and_owners(checkout).items() >= before.items()
    assert (checkout / ".run").stat().st_uid == nobody.pw_uid


@needs_root
def test_a_folder_that_may_not_be_written_is_one_sentence(stack: Start, checkout: Path) -> None:
    run = RunFolder(checkout / ".run")  # root's, and the ordinary user only reads it
    process = stack("cache", run=run, cwd=checkout, prefix=(*NOBODY, *READS_ALL))
    assert process.end() == 1
    assert process.text == (
        f"FAILED {run.path} cannot be made (Permission denied): let this user write there, or move the checkout\n"
    )


@needs_root
def test_another_users_run_folder_is_refused_and_left_alone(stack: Start, checkout: Path) -> None:
    run = RunFolder(checkout / ".run")
    run.open()
    os.chown(run.path, pwd.getpwnam("nobody").pw_uid, -1)
    process = stack(run=run, cwd=checkout)
    assert process.end() == 1
    assert "belongs to another user" in process.text
    assert process.text.count("\n") == 1
    assert sorted(path.name for path in run.path.iterdir()) == ["logs"]

"""How root runs a program that refuses root (Postgres does), without a new user and without touching any mode.

First choice: a user namespace in which root is called `nobody`; files stay root's own. Where namespaces are not allowed
(most containers): the real `nobody`, who keeps one capability, to pass the folders that only root may enter, such as a
home of mode 0700. Postgres asks with access(2), which drops capabilities of an ordinary user unless `no_setuid_fixup`.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.ops.errors import ServerFailed


@dataclass(frozen=True)
class Unprivileged:
    """What to put before a command, and who then owns the files it makes."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


@cache
def unprivileged() -> Unprivileged:
    """The way for this user; an ordinary user needs none. Raises ServerFailed for a root with neither way."""
    if os.geteuid() != 0:
        return Unprivileged((), os.geteuid(), os.getegid())
    for way in (_namespace(), _nobody()):
        if _works(way.prefix):
            return way
    raise ServerFailed(
        "Postgres does not run as root, and neither `unshare` nor `setpriv` can help here:"
        " run as an ordinary user, or set DATABASE_URL to a server of your own"
    )


def _namespace() -> Unprivileged:
    return Unprivileged(("unshare", "--user", "--map-user=65534", "--map-group=65534"), 0, 0)


def _nobody() -> Unprivileged:
    nobody = pwd.getpwnam("nobody")
    prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    prefix += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return Unprivileged(tuple(prefix), nobody.pw_uid, nobody.pw_gid)


def _works(prefix: Sequence[str]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    except FileNotFoundError:
        return False


def hand_over(folder: Path, way: Unprivileged) -> None:
    """Give the tree under `folder` to the owner of `way`, when an earlier run went the other way."""
    if os.geteuid() != 0 or folder.stat().st_uid == way.uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(parent) / name, way.uid, way.gid, follow_symlinks=False)

"""`manage.py reset`: everything the stack has stored under the run folder, removed; anvil's installation stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from app.ops.adapters.run_folder import RunFolder
from app.ops.services.recovery import clean_up

KEPT = ("node", "lock")


def reset(run: RunFolder, say: Callable[[str], None]) -> None:
    """Stop what a killed run left, and remove its data and the demo's; raises AlreadyRunning while one of them runs."""
    with run.lock(), run.demo().lock():
        for each in (run.demo(), run):
            clean_up(each, say)
            clear(each)
    say(f"{run.path} is empty again; `make up` starts afresh.")


def clear(run: RunFolder) -> None:
    """Remove what a stack has stored. The caller holds the lock, and nothing runs there."""
    for entry in run.path.iterdir():
        if entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()

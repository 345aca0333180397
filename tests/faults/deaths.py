"""Deaths ordered in advance: a file that the next incarnation of a process finds, and by which it arms itself.

A process is not restarted to be armed: the API, the dispatcher and beat look when they are (re)born, a worker's pool
child before each task. One file, one process. An order stands under the name of a process, or under the id of the job
whose first attempt is to meet it. The failpoint leaves a second file when it strikes, so that a row can
show that its fault did happen.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.failpoints import arm

FOLDER, NAME = "FAULTS_DEATHS", "FAULTS_NAME"


@dataclass(frozen=True)
class Death:
    """At the so-many-th passing of a failpoint."""

    point: str
    hit: int = 1
    action: str = "kill"


class Deaths:
    """The harness's side: one folder, in it one a process name."""

    def __init__(self, folder: Path):
        self.folder = folder

    def order(self, name: str, deaths: Sequence[Death]) -> None:
        """The next incarnations of `name` take these, in their order, one each."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        for number, death in enumerate(deaths):
            fresh = place / f"{number:04}.new"
            fresh.write_text(json.dumps(asdict(death)))
            fresh.rename(place / f"{number:04}.death")

    def struck(self) -> int:
        """How many have happened."""
        return len(list(self.folder.glob("*/*.struck")))

    def struck_at(self, name: str) -> float | None:
        """When the first order of `name` was carried out, in seconds since 1970; None while it is not."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name / "0000.struck").stat().st_mtime
        return None

    def last_at(self) -> datetime | None:
        """When the last one happened."""
        times = [path.stat().st_mtime for path in self.folder.glob("*/*.struck")]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    def survivors(self) -> set[str]:
        """Names of processes of which one is armed and alive, or was when another death found it."""
        taken = {path for path in self.folder.glob("*/*.taken") if not path.with_suffix(".struck").exists()}
        return {path.parent.name for path in taken}

    def clear(self) -> None:
        """Forget everything that was ordered."""
        shutil.rmtree(self.folder, ignore_errors=True)


def take_order(name: str | None = None) -> bool:
    """The process's side: arm itself by the first order for its (or another) name; false when there is none."""
    place = Path(os.environ[FOLDER]) / (name or os.environ[NAME])
    for order in sorted(place.glob("*.death")):
        taken = order.with_suffix(".taken")
        with contextlib.suppress(FileNotFoundError):  # another child was first
            order.rename(taken)
            death = json.loads(taken.read_text())
            once = str(order.with_suffix(".struck"))
            arm(name=death["point"], hit=death["hit"], action=death["action"], once_file=once)
            return True
    return False

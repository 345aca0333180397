"""`make faults-baseline`: every strike on both forms of plain Celery, side by side, as a table. Always ends with 0.

`python -m tests.faults.baseline [--only PART-OF-A-NAME]`
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from tests.faults.baseline.ground import VISIBILITY_SECONDS, Ground
from tests.faults.baseline.strikes import FAULTS, Fault

TITLES = {
    "defaults": "Plain Celery, default settings",
    "hardened": "Plain Celery, hardened: late acknowledgement, worker loss retried, errors retried, visibility"
    f" timeout {VISIBILITY_SECONDS} s",
}
HEADING = "| fault | accepted | lost | effects doubled | bodies repeated | seconds to recover | |"


@dataclass(frozen=True)
class Row:
    """What a fault did to one form."""

    fault: str
    accepted: int
    lost: int
    doubled: int
    repeated: int
    recovery: str
    note: str = ""

    def __str__(self) -> str:
        numbers = f"{self.accepted} | {self.lost} | {self.doubled} | {self.repeated}"
        return f"| {self.fault} | {numbers} | {self.recovery} | {self.note} |"


def strike(fault: Fault, ground: Ground) -> Row:
    """One fault on a cleared ground."""
    ground.clear()
    fault.strike(ground)
    return ticks(fault, ground) if ground.slots else jobs(fault, ground)


def jobs(fault: Fault, ground: Ground) -> Row:
    """What became of the jobs: a row of the application's own table is accepted, whatever its client was told."""
    whole = ground.settle()
    recovery = f"{time.monotonic() - ground.struck_at:.1f}" if whole else "never"
    if whole:
        ground.drain(2 * VISIBILITY_SECONDS)
    counts, (_, held) = ground.counts(), ground.messages()
    notes = [f"{ground.refused} answered with 500"] if ground.refused else []
    notes += [f"{held} come back after an hour"] if held and not whole else []
    return Row(fault.name, counts.accepted, counts.missing, counts.doubled, counts.repeated, recovery, "; ".join(notes))


def ticks(fault: Fault, ground: Ground) -> Row:
    """Beat's faults are counted in slots: too few are lost, too many are doubled."""
    fired = ground.counts().ticks
    lost, doubled = max(0, ground.slots - fired), max(0, fired - ground.slots)
    return Row(fault.name, ground.slots, lost, doubled, doubled, "never" if lost else "–", "slots of a second")


@click.command()
@click.option("--only", default="", help="only the faults whose name holds this")
def main(only: str) -> None:
    """Strike, row by row; both forms at once."""
    chosen = [fault for fault in FAULTS if only in fault.name]
    with tempfile.TemporaryDirectory(prefix="faults-baseline-") as folder, ThreadPoolExecutor(len(TITLES)) as both:
        tables = list(both.map(lambda profile: table(chosen, profile, Path(folder) / profile), TITLES))
    for title, rows in zip(TITLES.values(), tables, strict=True):
        click.echo("\n".join(["", title, "", HEADING, "|" + " --- |" * 7, *map(str, rows)]))


def table(faults: Sequence[Fault], profile: str, folder: Path) -> list[Row]:
    """Every fault on one form; each row is shown as it comes."""
    ground = Ground(folder, profile)
    rows = []
    try:
        for fault in faults:
            rows.append(strike(fault, ground))
            click.echo(f"{profile:9} {rows[-1]}", err=True)
    finally:
        ground.close()
    return rows


if __name__ == "__main__":
    main()

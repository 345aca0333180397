"""`python -m tests.faults --seed 7 [--only NAME ...]`: all rows on one ground, a table as they come.

Exits with 1 when anything is lost or doubled, a bound is missed, or a body repeats where the matrix says never.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.ground import ROOT, build
from tests.faults.matrix import MATRIX
from tests.faults.outside import Outside
from tests.faults.scene import USUAL, Fault, Row, play, sign_in

COLUMNS = "{:<34} {:>8} {:>5} {:>8} {:>9} {:>9} {:>6}  {}"
HEAD = ("fault", "accepted", "lost", "effects", "bodies", "seconds to", "bound", "")
HEAD_2 = ("", "", "", "doubled", "repeated", "recover", "", "")


def main(arguments: Sequence[str]) -> int:
    """Run the rows and say how each went."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="The fault matrix.")
    parser.add_argument("--seed", type=int, default=7, help="draws the moments and the mixture")
    parser.add_argument("--only", action="append", default=[], help="a row's name, or the beginning of names")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are ended on the way out
    faults = [fault for fault in MATRIX if not options.only or fault.name.startswith(tuple(options.only))]
    rows = run(faults, options.seed)
    path = ROOT / ".run" / f"faults-{options.seed}.json"
    path.write_text(json.dumps(as_json(rows, options.seed), indent=2) + "\n")
    failed = [row for row in rows if row.complaints]
    say(f"\n{len(rows)} rows, {len(failed)} failed; {path.relative_to(ROOT)}")
    return 1 if failed or not rows else 0


def run(faults: Sequence[Fault], seed: int) -> list[Row]:
    """Play the rows one after the other on one ground; keeps the ground's folder when one fails."""
    outside = Outside()
    outside.open()
    (ROOT / ".run").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=ROOT / ".run"))
    rows: list[Row] = []
    with build(folder, outside.url) as ground:
        ground.stage(USUAL)
        client = sign_in(ground)
        say(f"seed {seed}, load {os.getloadavg()[0]:.1f}\n{COLUMNS.format(*HEAD)}\n{COLUMNS.format(*HEAD_2)}")
        for fault in faults:
            begun = time.monotonic()
            row = play(ground, outside, client, fault, seed=seed)
            rows.append(row)
            say(f"{line(row)}  [{time.monotonic() - begun:.0f} s]")
            for complaint in row.complaints[:5]:
                say(f"    {complaint}")
    outside.close()
    if any(row.complaints for row in rows):
        say(f"what the processes said: {folder / 'logs'}")
    else:
        shutil.rmtree(folder)
    return rows


def line(row: Row) -> str:
    """A row of the table."""
    verdict = row.verdict
    return COLUMNS.format(
        row.fault.name,
        verdict.accepted,
        len(verdict.lost),
        len(verdict.doubled),
        f"{verdict.repeated}{'' if row.fault.repeats else ' (never)'}",
        f"{row.recovery_seconds:.1f}",
        f"{row.bound_seconds:.0f}",
        "FAILED" if row.complaints else row.note or "ok",
    )


def as_json(rows: Sequence[Row], seed: int) -> dict[str, object]:
    """The table for machines."""
    return {
        "seed": seed,
        "load": round(os.getloadavg()[0], 1),
        "ok": not any(row.complaints for row in rows),
        "rows": [
            {
                "fault": row.fault.name,
                "what": row.fault.what,
                "accepted": row.verdict.accepted,
                "lost": len(row.verdict.lost),
                "effects_doubled": len(row.verdict.doubled),
                "bodies_repeated": row.verdict.repeated,
                "bodies_may_repeat": row.fault.repeats,
                "recovery_seconds": round(row.recovery_seconds, 2),
                "bound_seconds": round(row.bound_seconds, 1),
                "note": row.note,
                "complaints": row.complaints,
            }
            for row in rows
        ],
    }


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

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
from dataclasses import asdict
from pathlib import Path

from tests.faults import killed_index
from tests.faults.ground import ROOT, build
from tests.faults.matrix import MATRIX
from tests.faults.money.rows import Row as MoneyRow
from tests.faults.money.rows import rows as money_rows
from tests.faults.outside import Outside
from tests.faults.scene import USUAL, Fault, Row, play, sign_in

COLUMNS = "{:<34} {:>8} {:>5} {:>8} {:>9} {:>9} {:>6}  {}"
HEAD = ("fault", "accepted", "lost", "effects", "bodies", "seconds to", "bound", "")
HEAD_2 = ("", "", "", "doubled", "repeated", "recover", "", "")
MONEY = "money"
MONEY_HEAD = (MONEY, "intents", "lost", "mined", "nonces", "seconds to", "", "")
MONEY_HEAD_2 = ("", "", "", "twice", "missing", "recover", "", "")
INDEX_HEAD = ("index", "events", "lost", "stale", "", "seconds to", "", "")


def main(arguments: Sequence[str]) -> int:
    """Run the rows and say how each went."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="The fault matrix.")
    parser.add_argument("--seed", type=int, default=7, help="draws the moments and the mixture")
    parser.add_argument("--only", action="append", default=[], help="a row's name, or the beginning of names; `money`")
    parser.add_argument("--all", action="store_true", help="money: die at every statement, not at those the seed draws")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are ended on the way out
    faults = [fault for fault in MATRIX if not options.only or fault.name.startswith(tuple(options.only))]
    with_money = not options.only or MONEY in options.only
    with_index = not options.only or killed_index.NAME.startswith(tuple(options.only))
    rows, money = run(faults, options.seed, with_money, with_index, options.all)
    path = ROOT / ".run" / f"faults-{options.seed}.json"
    path.write_text(json.dumps(as_json(rows, money, options.seed), indent=2) + "\n")
    played: list[Row | MoneyRow] = [*rows, *money]
    failed = [row for row in played if row.complaints]
    say(f"\n{len(played)} rows, {len(failed)} failed; {path.relative_to(ROOT)}")
    return 1 if failed or not played else 0


def run(
    faults: Sequence[Fault], seed: int, with_money: bool, with_index: bool, complete: bool
) -> tuple[list[Row], list[MoneyRow]]:
    """Play the rows one after the other on one ground; keeps the ground's folder when one fails."""
    outside = Outside()
    outside.open()
    (ROOT / ".run").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=ROOT / ".run"))
    rows: list[Row] = []
    money: list[MoneyRow] = []
    with build(folder, outside.url) as ground:
        ground.stage(USUAL)
        client = sign_in(ground)
        say(f"seed {seed}, load {os.getloadavg()[0]:.1f}\n{COLUMNS.format(*HEAD)}\n{COLUMNS.format(*HEAD_2)}")
        for fault in faults:
            begun = time.monotonic()
            row = play(ground, outside, client, fault, seed=seed)
            rows.append(row)
            say(f"{line(row)}  [{time.monotonic() - begun:.0f} s]")
            complain(row)
        if with_money:
            say(f"\n{COLUMNS.format(*MONEY_HEAD)}\n{COLUMNS.format(*MONEY_HEAD_2)}")
            for found in money_rows(ground, seed, complete=complete):
                money.append(found)
                say(money_line(found))
                complain(found)
        if with_index:
            say(f"\n{COLUMNS.format(*INDEX_HEAD)}")
            money.append(killed_index.row(ground, seed))
            say(money_line(money[-1]))
            complain(money[-1])
    outside.close()
    if any(row.complaints for row in (*rows, *money)):
        say(f"what the processes said: {folder / 'logs'}")
    else:
        shutil.rmtree(folder)
    return rows, money


def complain(row: Row | MoneyRow) -> None:
    """Why a row fails."""
    for complaint in row.complaints[:5]:
        say(f"    {complaint}")


def money_line(row: MoneyRow) -> str:
    """A row of the table's second part."""
    counts = (row.intents, row.lost, row.doubled, row.missing)
    verdict = "FAILED" if row.complaints else row.note or "ok"
    return COLUMNS.format(row.fault, *counts, f"{row.recovery_seconds:.1f}", "", verdict)


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


def as_json(rows: Sequence[Row], money: Sequence[MoneyRow], seed: int) -> dict[str, object]:
    """The table for machines."""
    return {
        "seed": seed,
        "load": round(os.getloadavg()[0], 1),
        "ok": not any(row.complaints for row in (*rows, *money)),
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
        "money": [asdict(row) for row in money],
    }


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

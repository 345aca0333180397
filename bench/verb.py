"""`manage.py bench NAME`: measure, print, and say by the exit code whether every bar is kept."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click

from bench.progress import Progress
from bench.report import Report


def bench(
    name: str, run_folder: Path, *, only: Sequence[str], runs: int, as_json: bool, echo: Callable[[str], None]
) -> int:
    """Run `bench.<name>` and show its report; returns the exit code. Raises BadParameter for an unknown part."""
    module = import_module(f"bench.{name}")
    if unknown := sorted(set(only) - set(module.PARTS)):
        raise click.BadParameter(f"no {', '.join(unknown)} in {', '.join(module.PARTS)}", param_hint="--only")
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that its servers end too
    report: Report = module.measure(run_folder, only=only, runs=runs, progress=Progress())
    echo(json.dumps(report.as_dict(), indent=1) if as_json else report.as_table())
    return exit_code(report)


def exit_code(report: Report) -> int:
    """1 when a bar is missed."""
    return 0 if report.ok else 1

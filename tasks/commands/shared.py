"""What every verb may need: this checkout, its settings, a database that answers, services loaded when called."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.core.errors import AppError

if TYPE_CHECKING:
    from app.ops.adapters.run_folder import RunFolder
    from config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class OneSentence(click.Group):
    """Prints an expected failure as its sentence, exit code 1; a traceback means a defect."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except AppError as error:
            click.echo(error.detail, err=True)
            ctx.exit(1)


def service(name: str) -> Any:
    """The module `name`, loaded now."""
    # What is loaded is no garbage and stays: to look through it again and again is a fifth of a quick verb's time.
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def run_folder() -> RunFolder:
    """This checkout's `.run`."""
    folder: RunFolder = service("app.ops.adapters.run_folder").RunFolder(ROOT / ".run")
    return folder


def settings() -> Settings:
    """The settings, completed by the stack that runs here, if one does."""
    environment = service("app.ops.services.environment")
    environment.adopt_running_stack(run_folder())
    read: Settings = environment.read_settings(ROOT)
    return read


def reached_engine(read: Settings) -> Any:
    """An engine on a database that answers; one sentence when none does."""
    url = read.database_url.get_secret_value()
    service("app.ops.services.database").wait_for_database(url, 2.0)
    return service("app.core.db").make_engine(url)


def asked_password() -> str:
    """A password typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")

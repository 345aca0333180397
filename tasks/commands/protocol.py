"""`manage.py protocol`: the files that say what a contract's events mean."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.commands.shared import reached_engine, service, settings

if TYPE_CHECKING:
    from config.settings import Settings


@click.group()
def protocol() -> None:
    """Check protocol files, and make SQL views of their events (docs/protocol-files.md)."""


PROTOCOL_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


def placeholder_values(read: Settings) -> dict[str, str]:
    """What fills a file's placeholders: the environment, then the deployment's file."""
    values: dict[str, str] = service("app.chain.services.parts").placeholder_values(
        read.chain.deployment_file, service("os").environ
    )
    return values


@protocol.command("check")
@PROTOCOL_FILE
@click.option("--rpc", "rpc_url", help="A node's URL: also look whether there is code at the addresses.")
def protocol_check(file: Path, rpc_url: str | None) -> None:
    """Say every mistake in a protocol file; exit code 1 when there is one."""
    mistakes = service("app.ops.services.protocol_files").check(file, placeholder_values(settings()), rpc_url)
    for mistake in mistakes:
        click.echo(mistake, err=True)
    if mistakes:
        sys.exit(1)
    click.echo(f"{file.name} is in order.")


@protocol.command("apply")
@PROTOCOL_FILE
def protocol_apply(file: Path) -> None:
    """Make the file's views of decoded events, or bring them up to date."""
    read = settings()
    followed = service("app.chain.services.protocols").load_protocol(file, placeholder_values(read))
    engine = reached_engine(read)
    service("app.ops.services.revisions").require_migrated(read.database_url.get_secret_value())
    with service("sqlalchemy.orm").Session(engine) as session, session.begin():
        done = service("app.chain.services.event_views").apply_views(session, followed)
    for what in ("made", "replaced", "dropped", "unchanged"):
        for name in getattr(done, what):
            click.echo(f"{what:<9} {name}")

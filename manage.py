"""Watchkeeper's command line: `python manage.py --help`. Each verb calls one service.

A verb loads its service when it runs (`service`), so that `--help` and the quick verbs do not wait for what the slow
ones import.
"""

from __future__ import annotations

import getpass
import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.core.errors import AppError

if TYPE_CHECKING:
    from app.accounts.services.cli_users import UserDesk
    from app.ops.adapters.run_folder import RunFolder
    from config.settings import Settings

ROOT = Path(__file__).resolve().parent


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
    return import_module(name)


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


@click.group(cls=OneSentence)
def cli() -> None:
    """Watchkeeper: the off-chain half of a DeFi protocol."""


@cli.command()
def up() -> None:
    """Start everything here and keep it running; Ctrl-C stops it."""
    service("app.ops.services.up").up(ROOT, run_folder(), click.echo)


@cli.command()
@click.option("--seed", default=1, show_default=True, help="Another seed, another play.")
def demo(seed: int) -> None:
    """Everything once, on a stack and a chain of its own; exit code 0 when chain and database agree."""
    report = run_folder().path / "demo.json"
    code = service("app.ops.services.demo").demo(ROOT, run_folder(), seed, report, click.echo)
    if report.exists():
        click.echo(service("contracts.demo.report").table(json.loads(report.read_text())))
    sys.exit(code)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """What runs here: role, pid, port, URL, log file. Exit code 1 when something does not."""
    module = service("app.ops.services.status")
    rows = module.role_statuses(run_folder())
    click.echo(json.dumps(rows, indent=1) if as_json else module.table(rows))
    sys.exit(0 if rows and all(row["alive"] for row in rows) else 1)


@cli.command()
def doctor() -> None:
    """Check this machine and the stack, and say the way out of what is wrong."""
    service("app.ops.services.environment").adopt_running_stack(run_folder())
    failures = 0
    for finding in service("app.ops.services.doctor").examine(ROOT, run_folder()):
        failures += not finding.ok
        click.echo(f"{'ok' if finding.ok else 'FAIL':<5} {finding.name:<12} {finding.text}")
    sys.exit(1 if failures else 0)


@cli.command()
def docs() -> None:
    """Write the pages of docs/ that are made from the code: errors, job kinds, configuration."""
    menu, errors, settings_class = service("app.menu"), service("app.errors"), service("config.settings").Settings
    for path, text in (
        service("app.ops.services.reference").pages(menu.MENU, errors.catalogue(), settings_class).items()
    ):
        (ROOT / path).write_text(text)
        click.echo(path)


@cli.command()
@click.argument("role", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added; Ctrl-C ends it.")
@click.option("-n", "--lines", default=20, show_default=True, help="How many of the last lines of each log.")
def logs(role: str | None, follow: bool, lines: int) -> None:
    """Show the roles' logs, or one role's."""
    for line in service("app.ops.services.logs").read_logs(run_folder(), role, lines=lines, follow=follow):
        click.echo(line)


@cli.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Delete the local databases, the local chain, secrets and logs. Refuses while the stack runs."""
    run = run_folder()
    if not yes:
        click.confirm(f"Delete every local database and the local chain under {run.path}?", abort=True)
    service("app.ops.services.reset").reset(run, click.echo)


@cli.command()
@click.option("--revision", default="head", show_default=True, help="Where to stop.")
@click.option("--wait", default=30.0, show_default=True, help="Seconds to wait for the database.")
def migrate(revision: str, wait: float) -> None:
    """Bring the tables up to date, then the rows of the schedule."""
    read = settings()
    url = read.database_url.get_secret_value()
    service("app.ops.services.database").wait_for_database(url, wait)
    service("migrations").upgrade(url, revision)
    if revision == "head":
        entries = service("tasks.schedule").schedule(read)
        with service("sqlalchemy.orm").Session(service("app.core.db").make_engine(url)) as session, session.begin():
            service("app.jobs.services.schedules").seed(session, entries)
    click.echo(f"The database is at {revision}.")


@cli.command()
def dispatcher() -> None:
    """Run one dispatcher: it publishes ready jobs and heals what was lost."""
    service("tasks.dispatcher").serve(settings())


@cli.command()
def stream() -> None:
    """Run one streaming process: SSE and WebSocket, by tickets of the API."""
    service("tasks.stream").serve(settings())


@cli.command()
def flower() -> None:
    """Run Flower, for looking only and behind its login on every route."""
    service("tasks.flower").serve(settings())


@cli.command()
@click.option("--protocol", "file", required=True, type=click.Path(exists=True, dir_okay=False), help="The TOML file.")
@click.option("--rpc", "rpc_url", help="A node's URL; else CHAIN__RPC_URLS.")
@click.option("--from", "from_block", type=click.IntRange(0), help="First block of a range, counted in.")
@click.option("--to", "to_block", type=click.IntRange(0), help="Last block of a range, counted in.")
@click.option("--follow", is_flag=True, help="Stay at the chain's head; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def index(
    file: str, rpc_url: str | None, from_block: int | None, to_block: int | None, follow: bool, as_json: bool
) -> None:
    """Index a protocol's events, and say rows, seconds and requests. Needs a database and a node, nothing else."""
    if from_block is not None and to_block is not None and to_block < from_block:
        raise click.BadParameter("it ends before it starts", param_hint="--to")
    read = settings()
    service("app.ops.services.database").wait_for_database(read.database_url.get_secret_value(), 2.0)
    context = service("tasks.indexing").indexing(read, file, rpc_url)
    stop = service("threading").Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    service("app.chain.services.cli_index").run_index(
        context.engine,
        context.providers,
        context.contracts,
        output=sys.stdout,
        progress=sys.stderr,
        stop=stop,
        options=context.options,
        projections=context.projections,
        from_block=from_block,
        to_block=to_block,
        follow=follow,
        as_json=as_json,
    )


@cli.group()
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


@cli.command()
@click.argument("name", type=click.Choice(["queue", "index", "decode", "rpc", "stream"]))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--only", multiple=True, help="One part of it; once for each.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Interleaved; medians are shown.")
def bench(name: str, as_json: bool, only: tuple[str, ...], runs: int) -> None:
    """Measure beside baselines, on servers of its own; exit code 1 when a bar is missed."""
    verb = service("bench.verb").bench
    sys.exit(verb(name, run_folder().path, only=only, runs=runs, as_json=as_json, echo=click.echo))


@cli.group()
def user() -> None:
    """Make and change users. Passwords are asked for, or read from standard input; never given as an argument."""


def user_desk() -> UserDesk:
    """What changes users, on a database that answers; the audit log names this command line."""
    read = settings()
    adapters = service("app.accounts.adapters")
    desk: UserDesk = service("app.accounts.services.cli_users").UserDesk(
        engine=reached_engine(read),
        passwords=adapters.passwords_from_settings(read.accounts),
        standings=adapters.standings_from_settings(read),
        origin=service("app.core.http.principal").Origin(f"cli:{getpass.getuser()}"),
        now=service("app.core.clock").utc_now(),
    )
    return desk


def asked_password() -> str:
    """A password typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


@user.command("create")
@click.argument("login")
@click.option("--scope", "scopes", multiple=True, help="Once for each scope; `admin` implies all.")
def user_create(login: str, scopes: tuple[str, ...]) -> None:
    """Add a user."""
    made = user_desk().create(login, asked_password(), scopes)
    click.echo(f"{made.login} is user:{made.id}")


@user.command("list")
def user_list() -> None:
    """Every user: login, id, scopes, last sign-in."""
    for one in user_desk().list_all():
        seen = one.last_login_at.isoformat() if one.last_login_at else "never"
        state = "" if one.is_active else "  deactivated"
        click.echo(f"{one.login:<24} user:{one.id}  {','.join(one.scopes)}  last sign-in {seen}{state}")


@user.command("password")
@click.argument("login")
def user_password(login: str) -> None:
    """Give a user another password; ends all their sessions."""
    click.echo(f"{user_desk().set_password(login, asked_password()).login} has a new password.")


@user.command("scopes")
@click.argument("login")
@click.option("--scope", "scopes", multiple=True, help="Once for each scope; none at all takes every one away.")
def user_scopes(login: str, scopes: tuple[str, ...]) -> None:
    """Replace a user's scopes."""
    changed = user_desk().set_scopes(login, scopes)
    click.echo(f"{changed.login}: {', '.join(changed.scopes) or 'no scope'}")


@user.command("deactivate")
@click.argument("login")
def user_deactivate(login: str) -> None:
    """Shut a user out: sessions and keys stop."""
    click.echo(f"{user_desk().deactivate(login).login} is deactivated.")


@user.command("activate")
@click.argument("login")
def user_activate(login: str) -> None:
    """Let a user in again."""
    click.echo(f"{user_desk().activate(login).login} is active.")


@cli.group()
def signer() -> None:
    """The key that sends. Its password is asked for, or read from standard input; never given as an argument."""


@signer.command("create")
@click.argument("file", type=click.Path(path_type=Path))
def signer_create(file: Path) -> None:
    """Make a new key in an encrypted keystore that only its owner can read; never writes over a file."""
    address = service("app.chain.adapters.signer").create_keystore(file, asked_password())
    click.echo(f"{shown_address(address)} is in {file}; without its password it is lost.")
    click.echo(f"To send with it: CHAIN__KEYSTORE_PATH={file.absolute()} and CHAIN__KEYSTORE_PASSWORD.")


@signer.command("address")
def signer_address() -> None:
    """Show whose key the settings name, and where it comes from."""
    chain = settings().chain
    found = service("app.chain.adapters.signer").load_signer(chain)
    source = f"the keystore {chain.keystore_path}" if chain.keystore_path else "CHAIN__SIGNER_KEY"
    click.echo(f"{shown_address(found.address)} from {source}")


@signer.command("balances")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def signer_balances(as_json: bool) -> None:
    """Ask the node for its balance and nonces, and say whether it is halted."""
    read = settings()
    found = service("app.chain.adapters.signer").load_signer(read.chain)
    providers = service("app.chain.adapters").from_settings(read.chain)
    engine = reached_engine(read)
    click.echo(service("app.chain.services.cli_signer").balances(engine, providers, found.address, as_json=as_json))


def shown_address(address: bytes) -> str:
    """With the capitals of its checksum."""
    return str(service("eth_utils.address").to_checksum_address(address))


if __name__ == "__main__":
    cli()

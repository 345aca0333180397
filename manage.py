"""Watchkeeper's command line: `python manage.py --help`. Each verb calls one service.

A verb loads its service when it runs (`service`), so that `--help` and the quick verbs do not wait for what the slow
ones import.
"""

from __future__ import annotations

import json
import signal
import sys

import click

from tasks.commands.protocol import protocol
from tasks.commands.shared import ROOT, OneSentence, reached_engine, run_folder, service, settings
from tasks.commands.signer import signer
from tasks.commands.user import user


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


@cli.command("price-stream")
def price_stream() -> None:
    """Follow Hermes' stream of prices."""
    service("tasks.price_stream").serve(settings())


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


@cli.command()
@click.option("--protocol", "name", required=True, help="Its name: that of its file, without .toml.")
@click.option("--from", "from_block", required=True, type=click.IntRange(0), help="First block, counted in.")
@click.option("--to", "to_block", required=True, type=click.IntRange(0), help="Last block, counted in.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def replay(name: str, from_block: int, to_block: int, as_json: bool) -> None:
    """Say what would have been liquidated in a range of blocks, and when, beside what was.

    It goes by the recorded events and prices, and writes nothing. Its time grows with the protocol's events up to the
    last block and the prices recorded in the range, its memory with the positions and these prices.
    """
    if to_block < from_block:
        raise click.BadParameter("it ends before it starts", param_hint="--to")
    read = settings()
    reading = reached_engine(read).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    context = service("tasks.runtime").Runtime(read)
    module = service("app.perps.services.replay")
    followed = service("app.perps.services.protocols").get_protocol(context.perps_protocols, name)
    with service("sqlalchemy.orm").Session(reading) as session:
        found = module.replay(session, followed, context.oracle.rules, from_block=from_block, to_block=to_block)
    click.echo(json.dumps(module.show_replay(found)) if as_json else module.replay_text(found))


@cli.command()
@click.argument("name", type=click.Choice(["queue", "index", "decode", "rpc", "peers", "funding", "stream"]))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--only", multiple=True, help="One part of it; once for each.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Interleaved; medians are shown.")
def bench(name: str, as_json: bool, only: tuple[str, ...], runs: int) -> None:
    """Measure beside baselines, on servers of its own; exit code 1 when a bar is missed."""
    verb = service("bench.verb").bench
    sys.exit(verb(name, run_folder().path, only=only, runs=runs, as_json=as_json, echo=click.echo))


for group in (user, signer, protocol):
    cli.add_command(group)

if __name__ == "__main__":
    cli()

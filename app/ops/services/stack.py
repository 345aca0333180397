"""The plan of `make up`: which servers are embedded, on which ports, with which secrets, and so the table of roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from app.ops.adapters.embedded_postgres import USER, EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.run_folder import RunFolder
from app.ops.services.environment import completed, is_given
from app.ops.services.local_chain import local_chain
from app.ops.services.ports import inner_port, public_port
from app.ops.services.roles import application_roles
from app.ops.types import Role, Stage
from config.settings import Settings

DATABASE = "watchkeeper"
Made = tuple[list[Role], dict[str, str]]
"""Roles, and the variables that lead to them."""

RESET = "`python manage.py reset` starts afresh"


@dataclass
class Plan:
    """The roles to start, and the variables that lead their processes to one another."""

    roles: list[Role] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def plan_stack(settings: Settings, run: RunFolder) -> Plan:
    """Everything: the servers nobody gave a URL for, and the application on top of them.

    Raises PortTaken before anything starts, when a port that people use is not free.
    """
    public_port("the API", "HTTP__PORT", settings.http.port, settings.http.host)
    public_port("Flower", "FLOWER__PORT", settings.flower.port, settings.flower.host)
    public_port("the stream", "STREAM__PORT", settings.stream.port, settings.stream.host)
    plan = plan_servers(settings, run)
    secrets = run.secrets()
    made = {
        "JWT_SECRET_KEY": secrets["jwt"],
        "JOBS__CALLBACK_SECRET": secrets["callback"],
        "FLOWER__PASSWORD": secrets["flower"],
        "METRICS_TOKEN": secrets["metrics"],
    }
    plan.environment |= completed(settings, made)
    plan.roles += application_roles(
        settings,
        run,
        broker_url=plan.environment.get("BROKER_URL", settings.broker_url.get_secret_value()),
    )
    return plan


def plan_servers(settings: Settings, run: RunFolder) -> Plan:
    """The embedded servers alone."""
    plan = Plan()
    for name in embedded_servers(settings):
        roles, made = BUILDERS[name](settings, run)
        plan.roles += roles
        plan.environment |= completed(settings, made)
    return plan


def embedded_servers(settings: Settings) -> tuple[str, ...]:
    """The servers to bring ourselves: those whose URL nobody gave. With all three URLs given, none, and no chain."""
    urls = {"postgres": "DATABASE_URL", "broker": "BROKER_URL", "cache": "CACHE_URL"}
    missing = [name for name, variable in urls.items() if not is_given(settings, variable)]
    if missing and not is_given(settings, "CHAIN__RPC_URLS"):
        missing.append("anvil")
    return tuple(missing)


def _postgres(_settings: Settings, run: RunFolder) -> Made:
    port = inner_port("postgres")
    server = EmbeddedPostgres(run.path / "postgres", port, run.secrets()["postgres"], run.log("postgres"))
    role = Role(
        name=server.process.name,
        command=tuple(server.process.command),
        stage=Stage.SERVERS,
        log=server.process.log,
        prepare=server.prepare,
        ready=partial(server.has_database, DATABASE),
        stop_signal=server.process.stop_signal,
        port=port,
        url=f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}",
        start_tries=5,  # the children of a killed postmaster may linger for a moment
        way_out=RESET,
    )
    return [role], {"DATABASE_URL": server.url(DATABASE)}


def _valkey(name: Literal["broker", "cache"], _settings: Settings, run: RunFolder) -> Made:
    port = inner_port(name)
    server = EmbeddedValkey(name, run.path / name, port, run.secrets()[name], run.log(name))
    role = Role(
        name=server.process.name,
        command=tuple(server.process.command),
        stage=Stage.SERVERS,
        log=server.process.log,
        prepare=server.prepare,
        ready=server.is_ready,
        port=port,
        url=f"redis://127.0.0.1:{port}/0",
        way_out=RESET,
    )
    return [role], {f"{name.upper()}_URL": server.url}


BUILDERS: Mapping[str, Callable[[Settings, RunFolder], Made]] = {
    "postgres": _postgres,
    "broker": partial(_valkey, "broker"),
    "cache": partial(_valkey, "cache"),
    "anvil": local_chain,
}

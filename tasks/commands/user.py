"""`manage.py user`: the people who may sign in."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from tasks.commands.shared import asked_password, reached_engine, service, settings

if TYPE_CHECKING:
    from app.accounts.services.cli_users import UserDesk


@click.group()
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

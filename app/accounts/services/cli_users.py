"""The body of `manage.py user`: an edge, so it commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.adapters.standing_cache import StandingCache
from app.accounts.services import users
from app.accounts.types import User
from app.core.http.principal import Origin


@dataclass(frozen=True)
class UserDesk:
    """Changes users, a transaction each, and lets every process know of the change."""

    engine: Engine
    passwords: Passwords
    standings: StandingCache
    origin: Origin
    now: datetime

    def create(self, login: str, password: str, scopes: Sequence[str]) -> User:
        """Add a user; raises what `users.create_user` does."""

        def make(session: Session) -> User:
            return users.create_user(
                session,
                passwords=self.passwords,
                login=login,
                password=password,
                scopes=scopes,
                origin=self.origin,
                now=self.now,
            )

        return self._change(make)

    def set_password(self, login: str, password: str) -> User:
        """Give a user another password; ends their sessions."""

        def change(session: Session) -> User:
            user = users.get_user_by_login(session, login)
            users.set_password(session, user, password, passwords=self.passwords, origin=self.origin, now=self.now)
            return user

        return self._change(change)

    def set_scopes(self, login: str, scopes: Sequence[str]) -> User:
        """Replace a user's scopes."""
        return self._change(
            lambda session: users.set_scopes(
                session, users.get_user_by_login(session, login).id, scopes, origin=self.origin
            )
        )

    def deactivate(self, login: str) -> User:
        """Shut a user out."""
        return self._change(
            lambda session: users.deactivate_user(
                session, users.get_user_by_login(session, login).id, origin=self.origin, now=self.now
            )
        )

    def activate(self, login: str) -> User:
        """Let a user in again."""
        return self._change(
            lambda session: users.activate_user(session, users.get_user_by_login(session, login).id, origin=self.origin)
        )

    def list_all(self) -> Iterator[User]:
        """Every user, newest first."""
        cursor: str | None = None
        with Session(self.engine) as session:
            while True:
                page = users.list_users(session, limit=200, cursor=cursor)
                yield from page.items
                cursor = page.next_cursor
                if cursor is None:
                    return

    def _change(self, change: Callable[[Session], User]) -> User:
        with Session(self.engine) as session, session.begin():
            changed = change(session)
        self.standings.mark_changed(str(changed.id))
        return changed

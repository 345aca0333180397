"""Which provider a tick uses: of those in good standing the one with the highest head. Failures, lags and lies are
written down, so that every worker prefers the others for a while; afterwards one good answer is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.queries import providers as standings
from app.chain.queries.alarms import raise_alarm, resolve_alarm
from app.chain.services.work import Work
from app.chain.types.indexing import Alarm, Heads
from app.core.db import release
from app.core.errors import AppError
from app.core.logging import get_logger

log = get_logger(__name__)

AVOIDED = "provider_avoided"


class Pinned(NamedTuple):
    """The provider of a tick, and what it said of itself; `failing`: it has failures that a good end undoes."""

    provider: Provider
    heads: Heads
    failing: bool


def pin(work: Work, providers: Providers, read: Callable[[Provider], Heads]) -> Pinned:
    """Ask every provider in good standing and pin the one with the highest head; the first configured among equals.

    Nodes disagree about the head, so a tick keeps to one. When none in good standing answers, the avoided ones are
    asked all the same: the last one is better than none, and its answers are still held against themselves. Commits
    what it notes about them. Raises the last failure when nobody answers.
    """
    session, chain_id, limits = work.session, work.contracts.chain_id, work.options.providers
    known = {standing.provider: standing for standing in standings.list_standings(session, chain_id)}
    release(session)
    avoided = {name for name, standing in known.items() if standing.avoided}
    found, failures = _ask((one for one in providers if one.name not in avoided), read)
    if not found:
        found, late = _ask((one for one in providers if one.name in avoided), read)
        failures = [*failures, *late]
    for name, failure in failures:
        _failed(work, name, failure.code)
    if not found:
        work.commit()
        raise failures[-1][1]
    highest = max(heads.head.number for _, heads in found)
    pinned = next((provider, heads) for provider, heads in found if heads.head.number == highest)
    noted = bool(failures)
    for provider, heads in found:
        fell_back = providers.fell_back(provider, heads.head.number)
        if fell_back > limits.max_lag_blocks:
            _avoid(work, provider.name, limits.quarantine_seconds, "its head went backwards")
        elif heads.head.number < highest - limits.max_lag_blocks:
            _failed(work, provider.name, "lags behind the highest head")
        elif provider.name in known and provider is not pinned[0]:
            _answered(work, provider.name)
        else:
            continue
        noted = True
    if noted:
        work.commit()
    return Pinned(*pinned, failing=pinned[0].name in known)


def pinned(session: Session, providers: Providers) -> Provider:
    """A provider that answers, one in good standing if there is any: for work that reads no range."""
    standing = standings.list_standings(session, providers.chain_id)
    release(session)
    return providers.pinned(last=[one.provider for one in standing if one.avoided])


def end_well(work: Work, pinned: Pinned) -> None:
    """The tick came to a good end: what the provider failed before is forgiven."""
    if pinned.failing:
        _answered(work, pinned.provider.name)
        work.commit()


def end_badly(work: Work, provider: Provider, failure: AppError) -> None:
    """The provider failed within the tick; too often in a row, and others are preferred. Commits."""
    work.session.rollback()
    _failed(work, provider.name, failure.code)
    work.commit()


def quarantine(work: Work, provider: Provider, reason: str) -> None:
    """The provider was caught in a lie: others are preferred at once, and for longer. Commits."""
    work.session.rollback()
    _avoid(work, provider.name, work.options.providers.quarantine_seconds, reason)
    work.commit()


def _ask(
    asked: Iterable[Provider], read: Callable[[Provider], Heads]
) -> tuple[list[tuple[Provider, Heads]], list[tuple[str, AppError]]]:
    found: list[tuple[Provider, Heads]] = []
    failures: list[tuple[str, AppError]] = []
    for provider in asked:
        try:
            found.append((provider, read(provider)))
        except errors.NODE_FAULTS as failure:
            log.warning("node_passed_over", node=provider.name, code=failure.code)
            failures.append((provider.name, failure))
    return found, failures


def _failed(work: Work, name: str, reason: str) -> None:
    count, avoided = standings.failed(work.session, work.contracts.chain_id, name, reason)
    if count >= work.options.providers.max_failures and not avoided:
        _avoid(work, name, work.options.providers.open_seconds, reason, counted=True)


def _avoid(work: Work, name: str, seconds: float, reason: str, *, counted: bool = False) -> None:
    session, chain_id = work.session, work.contracts.chain_id
    if not counted:
        standings.failed(session, chain_id, name, reason)
    standings.avoid(session, chain_id, name, seconds=seconds, reason=reason)
    log.error(AVOIDED, node=name, reason=reason)
    raise_alarm(
        session,
        Alarm(
            chain_id=chain_id,
            contract_set=work.contracts.name,
            kind=AVOIDED,
            subject=name,
            detail={"reason": reason},
        ),
    )


def _answered(work: Work, name: str) -> None:
    session, chain_id = work.session, work.contracts.chain_id
    if standings.answered(session, chain_id, name):
        resolve_alarm(session, chain_id, AVOIDED, name)

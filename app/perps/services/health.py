"""Health on demand: of a position, an account, a market; as of a verified price, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.services.history import require_history
from app.oracle.types.prices import Action
from app.perps.errors import HealthUnknown, MarketNotFound, PositionNotFound
from app.perps.maths.health import CROSS_MARGIN, ENDED, judged
from app.perps.maths.views import view_markets
from app.perps.queries.listings import Filter, list_positions
from app.perps.queries.markets import list_markets
from app.perps.queries.positions import positions_by_key
from app.perps.services.accounts import JudgedAccount, judge_accounts
from app.perps.services.attempts import prepare
from app.perps.services.duties import LIQUIDATION
from app.perps.services.parts import PerpsParts, Seeing
from app.perps.services.protocols import get_protocol
from app.perps.services.scan import scan
from app.perps.types.health import Judged, Verdict, Views
from app.perps.types.keeper import Fate, subject
from app.perps.types.positions import Position, PositionStatus

MAX_POSITIONS = 500


@dataclass(frozen=True, slots=True)
class Checked:
    """Positions with their health. `cut`: there are more than were looked at. `simulated`: by subject, what would have
    come of liquidating those whose price is too wide to tell. `accounts`: the account's, where its margin is its own.
    """

    judged: Sequence[Judged]
    cut: bool = False
    accounts: Sequence[JudgedAccount] = ()
    simulated: Mapping[str, Fate] = field(default_factory=dict)


def check_health(
    session: Session,
    *,
    protocol: str | None,
    position: str | None,
    account: bytes | None,
    market: str | None,
    parts: PerpsParts,
    clock: Callable[[], datetime],
) -> Checked:
    """The health of one of the three, with the contract's own word on what the price is too wide to tell.

    Raises what the three checks raise, HistoryMissing, and the node's failures.
    """
    require_whole(session, parts, protocol)
    now = clock()
    if account is not None:
        checked = check_account(session, account, seeing=parts, now=now)
        accounts = judge_accounts(session, parts.protocols, account, read=parts.read)
        checked = replace(checked, accounts=accounts)
    elif position is not None:
        checked = check_position(session, protocol or "", position, seeing=parts, now=now)
    else:
        checked = check_market(session, protocol or "", market or "", seeing=parts, now=now)
    return _ask_the_contract(session, checked, parts=parts, clock=clock)


def require_whole(session: Session, seeing: Seeing, protocol: str | None) -> None:
    """Raises HistoryMissing while the named protocol, or, without a name, any that is followed, lacks events: what is
    folded from the others is nothing to judge or to show.
    """
    names = [one.name for one in seeing.protocols]
    require_history(session, names if protocol is None else [protocol])


def get_position(session: Session, protocol: str, key: str) -> Position:
    """The position; raises PositionNotFound."""
    found = positions_by_key(session, protocol, [key]).get(key)
    if found is None:
        raise PositionNotFound(f"{protocol[:100]} has no position {key[:100]}.")
    return found


def views_now(session: Session, seeing: Seeing, now: datetime, *, protocol: str | None = None) -> Views:
    """Every market at the latest recorded price, where that is fit for judging margins."""
    markets = list_markets(session, protocol)
    return view_markets(seeing.protocols, markets, seeing.quotes(session, now), action=Action.MARGIN, now=now)


def check_position(session: Session, protocol: str, key: str, *, seeing: Seeing, now: datetime) -> Checked:
    """One position's health, None for one that has ended; raises PositionNotFound, and HealthUnknown with the reason
    when there is no price to judge by.
    """
    found = judged(get_position(session, protocol, key), views_now(session, seeing, now, protocol=protocol))
    if found.health is None and found.reason not in (ENDED, CROSS_MARGIN):
        raise HealthUnknown(reason=found.reason)
    return Checked([found])


def check_account(session: Session, owner: bytes, *, seeing: Seeing, now: datetime) -> Checked:
    """The health of an account's open positions in every protocol, the newest first; one without a usable price says so
    for itself.
    """
    wanted = Filter(owner=owner, status=PositionStatus.OPEN)
    found = list_positions(session, wanted, before=None, limit=MAX_POSITIONS + 1)
    views = views_now(session, seeing, now)
    return Checked([judged(position, views) for position in found[:MAX_POSITIONS]], cut=len(found) > MAX_POSITIONS)


def check_market(session: Session, protocol: str, market_id: str, *, seeing: Seeing, now: datetime) -> Checked:
    """A market's endangered positions, the most urgent first, also those that the keeper has in hand or leaves alone.

    O(log open + endangered). Raises MarketNotFound, and HealthUnknown with the reason when there is no price.
    """
    views = views_now(session, seeing, now, protocol=protocol)
    view = views.priced.get((protocol, market_id))
    if view is None:
        reason = views.unpriced.get((protocol, market_id))
        if reason is None:
            raise MarketNotFound(f"{protocol[:100]} has no market {market_id[:100]}.")
        raise HealthUnknown(reason=reason)
    found = scan(session, protocol, [view], limit=MAX_POSITIONS, now=None)
    return Checked([Judged(health.position, health, None) for health in found.found], cut=found.cut)


def _ask_the_contract(
    session: Session, checked: Checked, *, parts: PerpsParts, clock: Callable[[], datetime]
) -> Checked:
    """What the contract would do with the uncertain ones, at fresh data; nothing where this deployment cannot send."""
    uncertain: dict[str, list[Position]] = {}
    for one in checked.judged:
        if one.health is not None and one.health.verdict is Verdict.UNCERTAIN:
            uncertain.setdefault(one.position.protocol, []).append(one.position)
    if not uncertain or parts.sending is None:
        return checked
    asking = replace(parts, caps=replace(parts.caps, native_feed=None))  # whether it pays is not asked
    fates: dict[str, Fate] = {}
    for name, positions in uncertain.items():
        protocol = get_protocol(parts.protocols, name)
        prepared = prepare(
            session,
            protocol,
            positions,
            duty=LIQUIDATION,
            parts=asking,
            sending=parts.get_sending(session),
            clock=clock,
        )
        fates |= {subject(name, one.attempt.target.key): one.attempt.fate for one in prepared}
    return replace(checked, simulated=fates)

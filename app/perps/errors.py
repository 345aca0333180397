"""What can go wrong with perps. Each class is one line of the catalogue."""

from __future__ import annotations

from app.chain.errors import MalformedEvent
from app.core.errors import AppError, Conflict, NotFound, Unavailable


class UnreadableEvent(MalformedEvent):
    """An event does not fit what its protocol file says of it, or a value in it no column."""

    code = "perps.unreadable_event"


class InvalidProtocol(AppError):
    """The perps part of a protocol file is not valid."""

    code = "perps.invalid_protocol"


class MarketNotFound(NotFound):
    """There is no such market."""

    code = "perps.market_not_found"


class PositionNotFound(NotFound):
    """There is no such position."""

    code = "perps.position_not_found"


class OrderNotFound(NotFound):
    """There is no such order."""

    code = "perps.order_not_found"


class ProtocolNotFound(NotFound):
    """This deployment follows no such protocol."""

    code = "perps.protocol_not_found"


class PositionEnded(Conflict):
    """The position is not open."""

    code = "perps.position_ended"


class NothingToReplay(AppError):
    """The stored events and prices say nothing of that range."""

    code = "perps.nothing_to_replay"
    status = 409


class HealthUnknown(Unavailable):
    """There is no price that this position's health could be judged by; it is neither healthy nor unhealthy."""

    code = "perps.health_unknown"


class PositionHealthy(Conflict):
    """The position may not be liquidated at the present price."""

    code = "perps.position_healthy"


class NotProfitable(Conflict):
    """The liquidation's bonus does not cover what it would cost."""

    code = "perps.not_profitable"


class LiquidationRefused(Conflict):
    """The contract refuses the liquidation for another reason than the position's health."""

    code = "perps.liquidation_refused"


class TransactionFailed(AppError):
    """The transaction came to nothing."""

    code = "perps.transaction_failed"
    status = 409
    retryable = True


class KeeperUnavailable(Unavailable):
    """This deployment sends no transactions for that protocol."""

    code = "perps.keeper_unavailable"


class ActionUnavailable(Conflict):
    """The protocol's file does not describe that call."""

    code = "perps.action_unavailable"

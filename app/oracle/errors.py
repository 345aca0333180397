"""What can go wrong with a price. Each class is one line of the catalogue; `reason` and `feeds` travel as facts."""

from __future__ import annotations

from app.core.errors import AppError, NotFound, OutboundRefused, Unavailable


class OracleError(AppError):
    """The oracle has no answer."""

    code = "oracle.failed"


class UpdateInvalid(OracleError):
    """The price update is malformed, or not signed by the set this deployment trusts."""

    code = "oracle.update_invalid"
    status = 502

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(detail or f"The price update was refused: {reason.replace('_', ' ')}.", reason=reason)
        self.reason = reason


class PriceStale(OracleError):
    """The latest price is too old for this action."""

    code = "oracle.price_stale"
    status = 503
    retryable = True


class PriceFromTheFuture(OracleError):
    """The latest price is dated further ahead than clocks may differ."""

    code = "oracle.price_from_the_future"
    status = 503
    retryable = True


class ConfidenceTooWide(OracleError):
    """The price's confidence interval is too wide for this action."""

    code = "oracle.confidence_too_wide"
    status = 503
    retryable = True


class PriceNotPositive(OracleError):
    """The latest price is zero or negative."""

    code = "oracle.price_not_positive"
    status = 503
    retryable = True


class PriceMissing(OracleError):
    """No price of this feed has been recorded yet."""

    code = "oracle.price_missing"
    status = 503
    retryable = True


class SequencerUnknown(OracleError):
    """Whether the chain's sequencer runs has not been learned lately."""

    code = "oracle.sequencer_unknown"
    status = 503
    retryable = True


class SequencerDown(OracleError):
    """The chain's sequencer is down."""

    code = "oracle.sequencer_down"
    status = 503
    retryable = True


class SequencerStarting(OracleError):
    """The chain's sequencer is up again, but not for long enough."""

    code = "oracle.sequencer_starting"
    status = 503
    retryable = True


class JumpUnconfirmed(OracleError):
    """The sources' common price jumped, and no second round has confirmed it yet."""

    code = "oracle.jump_unconfirmed"
    status = 503
    retryable = True


class FarFromAverage(OracleError):
    """The latest price is too many times its own moving average, or too small a part of it."""

    code = "oracle.far_from_average"
    status = 503
    retryable = True


class PriceDeviates(OracleError):
    """The latest price is too far from what the other sources say."""

    code = "oracle.price_deviates"
    status = 503
    retryable = True


class FeedUnknown(NotFound):
    """This deployment follows no such price feed."""

    code = "oracle.feed_unknown"


class FeedConflict(OracleError):
    """Another feed has this symbol already."""

    code = "oracle.feed_conflict"
    status = 409


class SourceUnavailable(Unavailable):
    """The price source does not answer; try again."""

    code = "oracle.source_unavailable"


class SourceRefused(OutboundRefused):
    """The price source refused the request; trying again will not help."""

    code = "oracle.source_refused"


class SourceAnswerInvalid(OracleError):
    """The price source's answer is not in the agreed form, or contradicts itself."""

    code = "oracle.source_answer_invalid"
    status = 502

"""What can go wrong with a node, a range, a transaction. Each class says whether trying again can help."""

from __future__ import annotations

from app.core.errors import AppError, Conflict, InvalidInput, NotFound, OutboundFailed, OutboundRefused, Unavailable


class NodeFailed(OutboundFailed):
    """The node failed to answer as it should; try again."""

    code = "chain.node_failed"


class NodeTimeout(NodeFailed):
    """The node did not answer in time."""

    code = "chain.node_timeout"


class NodeUnreachable(NodeFailed):
    """The node cannot be reached."""

    code = "chain.node_unreachable"


class NodeRateLimited(NodeFailed):
    """The node's provider asks for fewer requests."""

    code = "chain.node_rate_limited"


class NodeAnswerInvalid(NodeFailed):
    """The node's answer is not what JSON-RPC and the method promise."""

    code = "chain.node_answer_invalid"


class AnswerTruncated(NodeFailed):
    """The node's answer was cut off, or its list ends where lists are cut."""

    code = "chain.answer_truncated"


class BlockUnavailable(NodeFailed):
    """The node does not have that block (yet)."""

    code = "chain.block_unavailable"


class NodeInconsistent(NodeFailed):
    """The node's answers do not belong together: its chain changed meanwhile, or it contradicts itself."""

    code = "chain.node_inconsistent"


class NodeBehind(NodeFailed):
    """The node lags behind what was final already."""

    code = "chain.node_behind"


class NodeRefused(OutboundRefused):
    """The node refused the request; the same request will be refused again."""

    code = "chain.node_refused"


class BadKey(NodeRefused):
    """The node's provider does not accept our key."""

    code = "chain.bad_key"


class MethodMissing(NodeRefused):
    """The node does not know that method."""

    code = "chain.method_missing"


class ChainMismatch(NodeRefused):
    """The node serves another chain than the one configured."""

    code = "chain.chain_mismatch"


class ReceiptsUnusable(NodeRefused):
    """The block's receipts cannot be held against its header: the chain or the node has its own form of them."""

    code = "chain.receipts_unusable"


class AnswerTooLarge(NodeRefused):
    """The node's answer is larger than we take in one piece; ask for less."""

    code = "chain.answer_too_large"


class RangeTooLarge(NodeRefused):
    """The node refuses that many blocks or logs in one answer; ask for less.

    `suggested_blocks`: a size the node says works for this very request. `cap_blocks`: a limit that holds for every
    request to it, worth remembering. Either may be None.
    """

    code = "chain.range_too_large"

    def __init__(
        self, detail: str | None = None, *, suggested_blocks: int | None = None, cap_blocks: int | None = None
    ) -> None:
        super().__init__(detail)
        self.suggested_blocks = suggested_blocks
        self.cap_blocks = cap_blocks


class ExecutionReverted(AppError):
    """The contract reverted the call. `data` is what it returned, empty when it said nothing."""

    code = "chain.execution_reverted"
    status = 409

    def __init__(self, detail: str | None = None, *, data: bytes = b"") -> None:
        super().__init__(detail)
        self.data = data


class TransactionRefused(AppError):
    """The node does not take the transaction."""

    code = "chain.transaction_refused"
    status = 409


class NonceTooLow(TransactionRefused):
    """The transaction's nonce has been used already."""

    code = "chain.nonce_too_low"


class NonceTooHigh(TransactionRefused):
    """The transaction's nonce leaves a gap that the node does not queue."""

    code = "chain.nonce_too_high"


class Underpriced(TransactionRefused):
    """The transaction's fees are below what the node takes, or too little above the one it would replace."""

    code = "chain.underpriced"


class AlreadyKnown(TransactionRefused):
    """The node holds this very transaction already."""

    code = "chain.already_known"


class InsufficientFunds(TransactionRefused):
    """The signer's balance does not cover the transaction's value and gas."""

    code = "chain.insufficient_funds"


class PoolFull(TransactionRefused):
    """The node's pool has no room for the transaction now."""

    code = "chain.pool_full"


class SimulationReverted(AppError):
    """The transaction would revert; it was not sent."""

    code = "chain.simulation_reverted"
    status = 409


class GasAboveCeiling(AppError):
    """The transaction needs more gas than its caller allows."""

    code = "chain.gas_above_ceiling"
    status = 409


class FeeCapReached(Unavailable):
    """Gas costs more than the cap allows; the transaction waits."""

    code = "chain.fee_cap_reached"


class SpendCapReached(Unavailable):
    """What the live transactions may still cost leaves no room under the hour's cap; the transaction waits."""

    code = "chain.spend_cap_reached"


class CostAboveCap(AppError):
    """The transaction alone may cost more than the cap of an hour."""

    code = "chain.cost_above_cap"
    status = 409


class BreakerOpen(Unavailable):
    """The signer's breaker is open; an operator resets it."""

    code = "chain.breaker_open"


class SignerHalted(Unavailable):
    """The signer is halted; an operator resumes it."""

    code = "chain.signer_halted"


class NonceTaken(AppError):
    """The transaction's nonce was used by another one."""

    code = "chain.nonce_taken"
    status = 409


class SignerUnavailable(AppError):
    """There is no usable signing key."""

    code = "chain.signer_unavailable"
    status = 503


class KeystoreRefused(AppError):
    """The keystore is not written."""

    code = "chain.keystore_refused"
    status = 409


class SignerNotFound(NotFound):
    """No transaction was ever sent by that signer."""

    code = "chain.signer_not_found"


class SignerNotHalted(Conflict):
    """The signer is not halted; there is nothing to resume."""

    code = "chain.signer_not_halted"


class BreakerNotOpen(Conflict):
    """The signer's breaker is not open; there is nothing to reset."""

    code = "chain.breaker_not_open"


class TransactionNotFound(NotFound):
    """There is no such transaction."""

    code = "chain.transaction_not_found"


class TransactionMined(Conflict):
    """The transaction is in a block already; only a reorg could still undo it."""

    code = "chain.transaction_mined"


class TransactionEnded(Conflict):
    """The transaction has ended; nothing about it changes any more."""

    code = "chain.transaction_ended"


class ForkSeen(NodeFailed):
    """The node's chain differs from the one indexed, at `block_number` for one: a reorg to heal."""

    code = "chain.fork_seen"

    def __init__(self, detail: str | None = None, *, block_number: int) -> None:
        super().__init__(detail)
        self.block_number = block_number


class CursorMoved(Conflict):
    """Somebody else indexed or rewound this contract set meanwhile; nothing was written."""

    code = "chain.cursor_moved"
    retryable = True


class SetHalted(Conflict):
    """Indexing of this contract set is halted until an operator resumes it."""

    code = "chain.set_halted"


class SetNotHalted(Conflict):
    """Indexing of this contract set is not halted; there is nothing to resume."""

    code = "chain.set_not_halted"


class BackfillStopped(Conflict):
    """A chunk's job ended before its blocks were read; mend its cause and submit the plan again: it goes on."""

    code = "chain.backfill_stopped"


class HistoryMissing(Unavailable):
    """History is still being read: what is folded from events is not the truth yet."""

    code = "chain.history_missing"


class AlarmNotFound(NotFound):
    """There is no such alarm."""

    code = "chain.alarm_not_found"


class AlarmResolved(Conflict):
    """The alarm is resolved already."""

    code = "chain.alarm_resolved"


class AlarmStands(Conflict):
    """What the alarm is about is not over; end that, and the alarm is resolved with it."""

    code = "chain.alarm_stands"


class UnknownContractSet(NotFound):
    """There is no such contract set."""

    code = "chain.unknown_contract_set"


class MalformedEvent(AppError):
    """The log does not fit the event's ABI."""

    code = "chain.malformed_event"


class UnsupportedAbi(InvalidInput):
    """The ABI cannot be used."""

    code = "chain.unsupported_abi"


class InvalidProtocol(InvalidInput):
    """The protocol file is not valid."""

    code = "chain.invalid_protocol"


class ViewInUse(Conflict):
    """A view of decoded events cannot be made: its name is taken, or another view is built on the one before."""

    code = "chain.view_in_use"


# What another provider of the same chain might do better; the rest is the same everywhere.
NODE_FAULTS = (NodeFailed, BadKey, MethodMissing, ChainMismatch)

"""What nodes say when they do not take a transaction, line by line, and what the sender makes of it.

Sources: go-ethereum core/txpool/errors.go, core/error.go and internal/ethapi; erigon txpoolcfg (DiscardReason);
nethermind AcceptTxResult, its filters and, since 2025, TxPoolErrorMessages; besu RpcErrorType; reth rpc-eth-types
(RpcPoolError, RpcInvalidTransactionError); anvil eth/error.rs; for the rest the tables of Chainlink's client.
"""

from __future__ import annotations

import pytest

from app.chain.adapters.rpc_failures import from_error
from app.chain.errors import (
    AlreadyKnown,
    InsufficientFunds,
    NodeFailed,
    NodeRateLimited,
    NonceTooHigh,
    NonceTooLow,
    PoolFull,
    TransactionRefused,
    Underpriced,
)
from app.core.errors import AppError

SAID: tuple[tuple[str, str, type[AppError]], ...] = (
    ("geth", "already known", AlreadyKnown),
    ("geth, old", "known transaction: 5f3a", AlreadyKnown),
    ("geth", "transaction underpriced", Underpriced),
    ("geth", "transaction underpriced: gas tip cap 1, minimum needed 1000000", Underpriced),
    ("geth", "replacement transaction underpriced", Underpriced),
    ("geth", "transaction gas price below minimum: gas tip cap 0, minimum needed 1", Underpriced),
    (
        "geth",
        "max fee per gas less than block base fee: maxFeePerGas: 1, baseFee: 875000000",
        Underpriced,
    ),
    ("geth", "nonce too low: next nonce 5, tx nonce 3", NonceTooLow),
    ("geth", "nonce too low: address 0x7156, tx: 3 state: 5", NonceTooLow),
    ("geth", "nonce too high: address 0x7156, tx: 9 state: 5", NonceTooHigh),
    ("geth", "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000", InsufficientFunds),
    ("geth", "insufficient funds for transfer", InsufficientFunds),
    ("geth", "txpool is full", PoolFull),
    ("geth", "account limit exceeded", PoolFull),
    ("geth", "future transaction tries to replace pending", PoolFull),
    ("geth", "in-flight transaction limit reached for delegated accounts", PoolFull),
    ("geth", "gapped-nonce tx from delegated accounts", NonceTooHigh),
    ("geth", "address already reserved", PoolFull),
    ("geth", "exceeds block gas limit", TransactionRefused),
    ("geth", "intrinsic gas too low: gas 21000, minimum needed 53000", TransactionRefused),
    ("geth", "insufficient gas for floor data gas cost: gas 21000, minimum needed 40000", TransactionRefused),
    ("geth", "tx fee (1.50 ether) exceeds the configured cap (1.00 ether)", TransactionRefused),
    ("geth", "only replay-protected (EIP-155) transactions allowed over RPC", TransactionRefused),
    ("geth", "invalid chain id for signer: have 1 want 31339", TransactionRefused),
    ("geth", "transaction type not supported", TransactionRefused),
    ("geth", "max priority fee per gas higher than max fee per gas", TransactionRefused),
    ("geth", "oversized data: transaction size 140000, limit 131072", TransactionRefused),
    ("geth", "nonce has max value", TransactionRefused),
    ("geth", "sender not an eoa: address 0x7156, codehash: 0x9280", TransactionRefused),
    ("erigon", "existing txn with same hash", AlreadyKnown),
    ("erigon, old", "INTERNAL_ERROR: existing tx with same hash", AlreadyKnown),
    ("erigon", "underpriced", Underpriced),
    ("erigon", "fee too low", Underpriced),
    ("erigon", "could not replace existing tx", Underpriced),
    ("erigon", "replaced by transaction with higher tip", Underpriced),
    ("erigon", "mined", NonceTooLow),
    ("erigon, old", "INTERNAL_ERROR: nonce too low", NonceTooLow),
    ("erigon", "insufficient funds", InsufficientFunds),
    ("erigon", "pending sub-pool is full", PoolFull),
    ("erigon", "baseFee sub-pool is full", PoolFull),
    ("erigon", "queued sub-pool is full", PoolFull),
    ("erigon", "IntrinsicGas", TransactionRefused),
    ("erigon", "RLPTooLong", TransactionRefused),
    ("erigon", "GasUintOverflow", TransactionRefused),
    ("erigon", "fork supporting this transaction type is not activated yet", TransactionRefused),
    ("nethermind", "AlreadyKnown", AlreadyKnown),
    ("nethermind", "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 9, MaxPriorityFeePerGas:1", Underpriced),
    ("nethermind", "FeeTooLow, EffectivePriorityFeePerGas too low 0 < 1, BaseFee: 9", Underpriced),
    ("nethermind", "FeeTooLowToCompete", Underpriced),
    ("nethermind", "ReplacementNotAllowed", Underpriced),
    ("nethermind", "OldNonce, Current nonce: 5, nonce of rejected tx: 3", NonceTooLow),
    ("nethermind", "NonceGap, Future nonce. Expected nonce: 5", NonceTooHigh),
    ("nethermind", "NonceTooFarInFuture", NonceTooHigh),
    ("nethermind, new", "nonce too far in future", NonceTooHigh),
    ("nethermind", "InsufficientFunds, Account balance: 1, cumulative cost: 21000", InsufficientFunds),
    ("nethermind", "GasLimitExceeded, Gas limit: 30000000, gas limit of rejected tx: 40000000", TransactionRefused),
    ("nethermind, new", "gas limit reached", TransactionRefused),
    ("nethermind", "Int256Overflow", TransactionRefused),
    ("nethermind", "SenderIsContract", TransactionRefused),
    ("nethermind", "FailedToResolveSender", TransactionRefused),
    ("nethermind, new", "unsupported transaction type", TransactionRefused),
    ("nethermind", "PendingTxsOfConflictingType", PoolFull),
    ("besu", "Known transaction", AlreadyKnown),
    ("besu", "Replacement transaction underpriced", Underpriced),
    ("besu", "Gas price below configured minimum gas price", Underpriced),
    ("besu", "Gas price below current base fee", Underpriced),
    ("besu", "Nonce too low", NonceTooLow),
    ("besu", "Nonce too high", NonceTooHigh),
    ("besu", "Transaction nonce is too distant from current sender nonce", NonceTooHigh),
    ("besu", "An invalid transaction with a lower nonce exists", NonceTooHigh),
    ("besu", "Upfront cost exceeds account balance", InsufficientFunds),
    ("besu", "Intrinsic gas exceeds gas limit", TransactionRefused),
    ("besu", "Transaction gas limit exceeds block gas limit", TransactionRefused),
    ("besu", "Max priority fee per gas exceeds max fee per gas", TransactionRefused),
    ("besu", "Transaction fee cap exceeded", TransactionRefused),
    ("besu", "Wrong chainId", TransactionRefused),
    ("besu", "ChainId is required", TransactionRefused),
    ("besu", "Invalid signature", TransactionRefused),
    ("reth", "already known", AlreadyKnown),
    ("reth", "transaction underpriced", Underpriced),
    ("reth", "nonce too low: next nonce 5, tx nonce 3", NonceTooLow),
    ("reth", "insufficient funds for gas * price + value: have 0 want 21000", InsufficientFunds),
    ("reth", "txpool is full", PoolFull),
    ("reth", "max initcode size exceeded", TransactionRefused),
    ("reth", "gas uint64 overflow", TransactionRefused),
    ("anvil", "transaction already imported", AlreadyKnown),
    ("anvil", "Tx: [0x5f3a] already Imported", AlreadyKnown),
    ("anvil", "Tx: [0x5f3a] insufficient gas price to replace existing transaction", Underpriced),
    ("anvil", "max fee per gas less than block base fee", Underpriced),
    ("anvil", "Insufficient funds for gas * price + value", InsufficientFunds),
    ("anvil", "Unknown transaction type not supported", TransactionRefused),
    ("anvil", "Incompatible EIP-155 transaction, signed for another chain", TransactionRefused),
    ("anvil", "intrinsic gas too high -- tx gas limit exceeds the block's", TransactionRefused),
    ("arbitrum", "gas price too low", Underpriced),
    ("arbitrum", "not enough funds for gas", InsufficientFunds),
    ("arbitrum", "sequencer pending tx pool full, please try again", PoolFull),
    ("celo", "gasprice is less than gas price minimum floor", Underpriced),
    # No refusal of the transaction itself: the same bytes may go later, or by another node.
    ("besu", "Initial sync is still in progress", NodeFailed),
    ("nethermind", "node is syncing", NodeFailed),
    ("any", "Internal error", NodeFailed),
    ("a provider", "Too many requests", NodeRateLimited),
)


@pytest.mark.parametrize(
    ("words", "meant"), [row[1:] for row in SAID], ids=[f"{row[0]}: {row[1][:40]}" for row in SAID]
)
def test_a_node_s_words_mean_one_thing(words: str, meant: type[AppError]) -> None:
    assert type(from_error("eth_sendRawTransaction", -32000, words, None)) is meant


def test_a_refusal_quotes_the_node_and_hides_what_looks_like_a_key() -> None:
    said = "nonce too low: see https://node.example/v3/0123456789abcdef0123456789abcdef"
    refusal = from_error("eth_sendRawTransaction", -32000, said, None)
    assert refusal.detail.startswith("nonce too low")
    assert "0123456789abcdef" not in refusal.detail


def test_only_sending_is_refused_in_these_words() -> None:
    assert type(from_error("eth_call", -32000, "nonce too low", None)) is NodeFailed

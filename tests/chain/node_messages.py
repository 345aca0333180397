"""What nodes and providers say when they refuse or fail, in their own words, and what it means."""

from __future__ import annotations

from app.chain import errors

# Messages as the nodes and providers word them: range limits collected in the sources of Ponder and rindexer, issue 237
# of INFURA/infura, go-ethereum core/txpool/errors.go and core/error.go, the pool errors of reth, nethermind and besu.
RANGES: list[tuple[int, str, int | None, int | None]] = [
    (-32005, "query returned more than 10000 results. Try with this block range [0x7A80, 0x7AE3].", 100, None),
    (
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your "
        "parameters, this block range should work: [0x1180fca, 0x1180fd3]. Upgrade to PAYG for expanded block range.",
        10,
        10,
    ),
    (
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
        "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
        "parameters and the response size limit, this block range should work: [0xc5dc00, 0xc614a7]",
        14504,
        2000,
    ),
    (
        -32000,
        "Query timeout exceeded. Consider reducing your block range. this block range should work: [0x1, 0x2]",
        2,
        None,
    ),
    (-32614, "eth_getLogs is limited to a 10,000 range", None, 10_000),
    (-32000, "eth_getLogs is limited to 1024 block range", None, 1024),
    (-32000, "exceed maximum block range: 50000", None, 50_000),
    (
        -32701,
        "Please specify an address in your request or, to remove restrictions, maximum block range: 500",
        None,
        500,
    ),
    (-32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800", None, 800),
    (-32012, "please limit the query to at most 1000 blocks", None, 1000),
    (-32000, "requested too many blocks from 1 to 9000, maximum is set to 2048", None, 2048),
    (-32000, "Maximum allowed number of requested blocks is 3500", None, 3500),
    (-32602, "query exceeds max block range 1000", None, 1000),
    (-32000, "block range exceeds 2000", None, 2000),
    (-32000, "blocks distance: 900", None, 900),
    (-32000, "block range too large (5000 > 3000)", None, 3000),
    (-32000, "maximum allowed is 2000 blocks", None, 2000),
    (-32600, "retry with the range 3600741-3620740", 20_000, None),
    (-32600, "block range is too wide", None, None),
    (-32600, "block range too large", None, None),
    (-32600, "Block range limit exceeded.", None, None),
    (-32602, "query exceeds max results 20000, retry with the range 1-500", 500, None),
    (-32000, "too many logs, please narrow down your filter", None, None),
    (-32000, "response size should not greater than 10000000 bytes", None, None),
    (-32008, "backend response too large", None, None),
    (-32000, "response is too big", None, None),
    (-32602, "range 1000000 exceeds limit of 10000", None, 10_000),
    (-32600, "block range too high", None, None),
    (-32000, "logs matched by query exceeds limit of 10000", None, None),
    (-32005, "limit exceeded", None, None),
]

FAILURES: list[tuple[str, int, str, type[errors.AppError]]] = [
    ("eth_getLogs", -32000, "block range extends beyond current head block", errors.BlockUnavailable),
    (
        "eth_getLogs",
        -32000,
        "cannot query unfinalized data: requested from block 9 after last accepted block 8",
        errors.BlockUnavailable,
    ),
    ("eth_call", -32000, "header not found", errors.BlockUnavailable),
    ("eth_call", -32000, "missing trie node 5f3a (path ) state 0x5f is not available", errors.BlockUnavailable),
    (
        "eth_call",
        -32602,
        "BlockOutOfRangeError: block height is 300 but requested was 16777215",
        errors.BlockUnavailable,
    ),
    ("eth_getLogs", -32005, "daily request count exceeded, request rate limited", errors.NodeRateLimited),
    ("eth_getLogs", 429, "Your app has exceeded its compute units per second capacity.", errors.NodeRateLimited),
    ("eth_call", -32007, "15/second request limit reached - reduce calls per second", errors.NodeRateLimited),
    ("eth_call", -32005, "limit exceeded", errors.NodeRateLimited),
    ("eth_call", -32000, "Unauthorized, You must authenticate your request with an API key.", errors.BadKey),
    ("trace_block", -32601, "the method trace_block does not exist/is not available", errors.MethodMissing),
    ("eth_foo", -32601, "Method not found", errors.MethodMissing),
    ("eth_call", -32000, "execution timeout: request timed out", errors.NodeTimeout),
    ("eth_call", -32603, "Internal error", errors.NodeFailed),
    ("eth_call", -32602, "invalid argument 0: hex string without 0x prefix", errors.NodeRefused),
    ("eth_call", -32015, "VM execution error.", errors.ExecutionReverted),
    ("eth_estimateGas", -32000, "insufficient funds for gas * price + value", errors.InsufficientFunds),
    ("eth_sendRawTransaction", -32000, "nonce too low: next nonce 5, tx nonce 3", errors.NonceTooLow),
    ("eth_sendRawTransaction", -32010, "OldNonce", errors.NonceTooLow),
    ("eth_sendRawTransaction", -32000, "nonce too high", errors.NonceTooHigh),
    ("eth_sendRawTransaction", -32000, "already known", errors.AlreadyKnown),
    ("eth_sendRawTransaction", -32003, "transaction already imported", errors.AlreadyKnown),
    ("eth_sendRawTransaction", -32000, "replacement transaction underpriced", errors.Underpriced),
    ("eth_sendRawTransaction", -32000, "transaction underpriced: tip needed 25000000000", errors.Underpriced),
    (
        "eth_sendRawTransaction",
        -32000,
        "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1",
        errors.Underpriced,
    ),
    ("eth_sendRawTransaction", -32003, "Insufficient funds for gas * price + value", errors.InsufficientFunds),
    (
        "eth_sendRawTransaction",
        -32000,
        "max priority fee per gas higher than max fee per gas",
        errors.TransactionRefused,
    ),
    (
        "eth_sendRawTransaction",
        -32000,
        "intrinsic gas too low: gas 21000, minimum needed 53000",
        errors.TransactionRefused,
    ),
    ("eth_sendRawTransaction", -32000, "exceeds block gas limit", errors.TransactionRefused),
]

"""Put the exchange on a local chain: token, development Pyth, perp, its markets, and money in its pool and insurance.

    python -m contracts.deploy --rpc-url http://127.0.0.1:8545 --out .run/deployment.json

The key is read from DEPLOYER_KEY. Transactions are signed here and sent all at once under consecutive nonces, so that a
chain with slow blocks takes them in one or two. Nothing here calls what only a development node has.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from requests import RequestException
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.exceptions import Web3Exception
from web3.logs import DISCARD
from web3.types import Nonce, TxParams, TxReceipt, Wei
from web3.utils import get_create_address

from contracts.build import artifact
from contracts.deployment import DeployedContract, Deployment
from contracts.feeds import FEEDS, Feed
from contracts.guardians import DEVELOPMENT_GUARDIANS, PYTH_EMITTER, PYTH_EMITTER_CHAIN, GuardianSet
from contracts.markets import PARAMETERS, WAD

# The first account of every anvil and hardhat node: rich there, and known to everyone.
DEVELOPMENT_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
POOL_WAD = 50_000_000 * WAD
INSURANCE_WAD = 1_000_000 * WAD
UPDATE_FEE_WEI = 1
DEPLOY_GAS = 8_000_000
CALL_GAS = 600_000


class DeploymentFailed(RuntimeError):
    """A transaction of the deployment was mined and failed; the message names its step."""


class _Outbox:
    """Signs and sends one account's transactions under consecutive nonces, and waits for them together."""

    def __init__(self, w3: Web3, account: LocalAccount):
        self.w3 = w3
        self.account = account
        self._nonce: int = w3.eth.get_transaction_count(account.address, "pending")
        base_fee = w3.eth.get_block("latest").get("baseFeePerGas", 0)
        tip = w3.to_wei(1, "gwei")
        self._common: TxParams = {
            "from": account.address,
            "chainId": w3.eth.chain_id,
            "maxFeePerGas": Wei(2 * base_fee + tip),
            "maxPriorityFeePerGas": tip,
        }
        self._sent: list[tuple[str, Any]] = []

    def create(self, name: str, *arguments: object) -> Contract:
        """Send a contract's creation; the contract answers once it is mined."""
        made = artifact(name)
        address = get_create_address(self.account.address, Nonce(self._nonce))
        call = self.w3.eth.contract(abi=made.abi, bytecode=made.bytecode).constructor(*arguments)
        self._send(f"deploy {name}", call.build_transaction(self._parameters(DEPLOY_GAS)))
        return self.w3.eth.contract(address=address, abi=made.abi)

    def call(self, contract: Contract, function: str, *arguments: object) -> None:
        """Send a call."""
        call = contract.functions[function](*arguments)
        self._send(function, call.build_transaction(self._parameters(CALL_GAS)))

    def receipts(self, seconds: float) -> list[TxReceipt]:
        """Every receipt, in the order of sending; raises DeploymentFailed for the first that failed."""
        found = []
        for step, digest in self._sent:
            receipt = self.w3.eth.wait_for_transaction_receipt(digest, timeout=seconds, poll_latency=0.05)
            if receipt["status"] != 1:
                raise DeploymentFailed(f"the step `{step}` failed in transaction {digest.to_0x_hex()}")
            found.append(receipt)
        return found

    def _parameters(self, gas: int) -> TxParams:
        return {**self._common, "nonce": Nonce(self._nonce), "gas": gas, "value": Wei(0)}

    def _send(self, step: str, transaction: TxParams) -> None:
        signed = self.account.sign_transaction(cast(dict[str, Any], transaction))
        self._sent.append((step, self.w3.eth.send_raw_transaction(signed.raw_transaction)))
        self._nonce += 1


def deploy(
    rpc_url: str,
    key: str = DEVELOPMENT_KEY,
    *,
    feeds: Sequence[Feed] = FEEDS,
    guardians: GuardianSet = DEVELOPMENT_GUARDIANS,
    pool_wad: int = POOL_WAD,
    insurance_wad: int = INSURANCE_WAD,
    timeout_seconds: float = 60.0,
) -> Deployment:
    """Deploy everything from `key` and wait until it is mined; raises DeploymentFailed."""
    w3 = Web3(HTTPProvider(rpc_url))
    outbox = _Outbox(w3, Account.from_key(key))
    token = outbox.create("dev_token", "Development Dollar", "USDX")
    addresses = tuple(w3.to_checksum_address(address) for address in guardians.addresses)
    pyth = outbox.create("dev_pyth", guardians.index, addresses, PYTH_EMITTER_CHAIN, PYTH_EMITTER, UPDATE_FEE_WEI)
    perp = outbox.create("perp", token.address, pyth.address)
    for feed in feeds:
        outbox.call(perp, "add_market", feed.symbol, feed.base, feed.quote, feed.price_id, PARAMETERS[feed.symbol])
    outbox.call(token, "mint", outbox.account.address, pool_wad + insurance_wad)
    outbox.call(token, "approve", perp.address, pool_wad + insurance_wad)
    outbox.call(perp, "deposit_pool", pool_wad)
    outbox.call(perp, "deposit_insurance", insurance_wad)

    receipts = outbox.receipts(timeout_seconds)
    added = [
        event for receipt in receipts for event in perp.events.MarketAdded().process_receipt(receipt, errors=DISCARD)
    ]
    blocks = {receipt.get("contractAddress"): receipt["blockNumber"] for receipt in receipts}
    return Deployment(
        chain_id=w3.eth.chain_id,
        deployer=outbox.account.address,
        token=DeployedContract(token.address, blocks[token.address]),
        pyth=DeployedContract(pyth.address, blocks[pyth.address]),
        perp=DeployedContract(perp.address, blocks[perp.address]),
        markets={event["args"]["symbol"]: event["args"]["market_id"] for event in added},
        guardian_set_index=guardians.index,
        guardians=addresses,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the deployment as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rpc-url", default="http://127.0.0.1:8545")
    parser.add_argument("--out", type=Path, help="also write the deployment there")
    options = parser.parse_args(arguments)
    try:
        deployment = deploy(options.rpc_url, os.environ.get("DEPLOYER_KEY", DEVELOPMENT_KEY))
    except (DeploymentFailed, Web3Exception, RequestException) as error:
        sys.stderr.write(f"nothing usable was deployed to {options.rpc_url}: {error}\n")
        return 1
    if options.out:
        deployment.write(options.out)
    sys.stdout.write(json.dumps(asdict(deployment), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Other people's contracts on the local node: deployed from their artifacts, linked, called, and their logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web3 import HTTPProvider, Web3
from web3.contract import Contract

from tests.protocols.npm import Package

GAS = 25_000_000


class Ground:
    """A node whose accounts are unlocked; every transaction is mined at once, or fails the test."""

    def __init__(self, url: str):
        self.w3 = Web3(HTTPProvider(url))
        self.owner, self.maker, self.trader, self.liquidator, self.other = self.w3.eth.accounts[:5]

    def deploy(
        self, package: Package, name: str, *values: Any, libraries: Mapping[str, Contract] | None = None
    ) -> Contract:
        """A contract of the package."""
        artifact = package.artifact(name)
        code = _linked(artifact, libraries or {})
        factory = self.w3.eth.contract(abi=artifact["abi"], bytecode=code)
        made = factory.constructor(*values).transact({"from": self.owner, "gas": GAS})
        receipt = self.w3.eth.wait_for_transaction_receipt(made)
        assert receipt["status"] == 1, f"{name} was not deployed"
        return self.at(package, name, receipt["contractAddress"])

    def at(self, package: Package, name: str, address: str) -> Contract:
        """A contract that is there already."""
        return self.w3.eth.contract(abi=package.artifact(name)["abi"], address=Web3.to_checksum_address(address))

    def send(self, call: Any, sender: str | None = None) -> Any:
        """Mine a call; its receipt. One that the contract refuses fails with its reason."""
        call.call({"from": sender or self.owner})
        sent = call.transact({"from": sender or self.owner, "gas": GAS})
        receipt = self.w3.eth.wait_for_transaction_receipt(sent)
        assert receipt["status"] == 1, call
        return receipt

    def later(self, seconds: int) -> None:
        """Time passes on the chain."""
        self.w3.provider.make_request("evm_increaseTime", [seconds])
        self.w3.provider.make_request("evm_mine", [])

    def close(self) -> None:
        """Close the connections that web3 keeps for this node."""
        self.w3.provider._request_session_manager.session_cache.clear()


def _linked(artifact: Mapping[str, Any], libraries: Mapping[str, Contract]) -> str:
    code = bytearray.fromhex(_blank(artifact["bytecode"]))
    for names in artifact["linkReferences"].values():
        for name, places in names.items():
            for place in places:
                code[place["start"] : place["start"] + 20] = bytes.fromhex(libraries[name].address[2:])
    return "0x" + code.hex()


def _blank(code: str) -> str:
    """Placeholders of libraries are no hexadecimal digits."""
    parts = code.removeprefix("0x").split("__$")
    return parts[0] + "".join("0" * 40 + part[37:] for part in parts[1:])

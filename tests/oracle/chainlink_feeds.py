"""Chainlink's own contracts on the local node: its mock aggregator, and the proxy of the real ones."""

from __future__ import annotations

from typing import Any

from web3.contract import Contract

from tests.protocols.deployed import Ground
from tests.protocols.npm import CHAINLINK

NOBODY = "0x" + "00" * 20


class Feeds:
    """Deploys feeds and moves their rounds."""

    def __init__(self, url: str) -> None:
        self.ground = Ground(url)

    def aggregator(self, answer: int, decimals: int = 8) -> Contract:
        """An aggregator whose first round has this answer."""
        return self.ground.deploy(CHAINLINK, "MockV3Aggregator", decimals, answer)

    def proxy(self, aggregator: Contract) -> Contract:
        """A proxy in its first phase, open to every reader."""
        return self.ground.deploy(CHAINLINK, "EACAggregatorProxy", aggregator.address, NOBODY)

    def replace(self, proxy: Contract, aggregator: Contract) -> None:
        """Put another aggregator behind the proxy: its next phase."""
        self.ground.send(proxy.functions.proposeAggregator(aggregator.address))
        self.ground.send(proxy.functions.confirmAggregator(aggregator.address))

    def answer(self, aggregator: Contract, *round_data: int) -> None:
        """Round id, answer, timestamp and start of the aggregator's latest round."""
        self.ground.send(aggregator.functions.updateRoundData(*round_data))

    def block_time(self) -> int:
        """The head's time."""
        head: Any = self.ground.w3.eth.get_block("latest")
        return int(head["timestamp"])


def address(contract: Contract) -> bytes:
    """Twenty bytes."""
    return bytes.fromhex(contract.address[2:])

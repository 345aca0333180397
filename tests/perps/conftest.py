"""The exchange on a node of this folder's own, as the contracts' tests drive it."""

from tests.contracts.conftest import contract_node, deployed, exchange

__all__ = ["contract_node", "deployed", "exchange"]

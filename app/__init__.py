"""Watchkeeper: the off-chain half of a DeFi protocol. The map is in docs/ARCHITECTURE.md."""

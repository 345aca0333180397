"""Is there a contract where a protocol file says so?"""

from __future__ import annotations

from app.chain.adapters.rpc import Call, Provider
from app.chain.types.protocols import Protocol


def without_code(protocol: Protocol, rpc_url: str) -> list[str]:
    """The addresses of the file that have no code on the node, a sentence each; raises the node's failures."""
    addresses = [(name, address) for name, contract in protocol.contracts.items() for address in contract.addresses]
    calls = [Call("eth_getCode", ["0x" + address.hex(), "latest"]) for _, address in addresses]
    chain_id = protocol.contract_set.chain_id
    provider = Provider(rpc_url, chain_id=chain_id)
    try:
        codes = provider.batch(calls, result=str)
    finally:
        provider.close()
    return [
        f"contracts.{name}.address: there is no code at 0x{address.hex()} on chain {chain_id}."
        for (name, address), code in zip(addresses, codes, strict=True)
        if code == "0x"
    ]

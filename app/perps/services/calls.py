"""A protocol's calls, as its file describes them, filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.chain.types.calls import ContractCall
from app.perps.errors import KeeperUnavailable
from app.perps.maths.calls import call_values, encode_call, find_function
from app.perps.services.updates import MarketUpdate
from app.perps.types.protocol import PerpsProtocol
from app.perps.types.sections import CallRule, KeeperSection


def get_keeper(protocol: PerpsProtocol) -> KeeperSection:
    """How the protocol is kept; raises KeeperUnavailable when its file says nothing of that."""
    if protocol.section.keeper is None:
        raise KeeperUnavailable(f"The file of {protocol.name} names no keeper's calls.")
    return protocol.section.keeper


def get_settling(protocol: PerpsProtocol) -> CallRule:
    """The call that settles a market's funding; raises KeeperUnavailable when the file names none."""
    call = get_keeper(protocol).settle_funding
    if call is None:
        raise KeeperUnavailable(f"The file of {protocol.name} names no call that settles funding.")
    return call


def contract_call(
    protocol: PerpsProtocol,
    rule: CallRule,
    update: MarketUpdate,
    *,
    position: str | None = None,
    order: str | None = None,
) -> ContractCall:
    """The file's call for this market (and position, or order), with the update's data and its fee."""
    values = call_values(
        protocol.section,
        market_id=update.market.market_id,
        position=position,
        order=order,
        update_data=update.update.data,
    )
    return filled_call(protocol, rule, values, update.fee_wei)


def filled_call(protocol: PerpsProtocol, rule: CallRule, values: Mapping[str, Any], value_wei: int) -> ContractCall:
    """The file's call with these values for its arguments."""
    contract = protocol.contracts[rule.contract]
    function = find_function(contract.abi, rule.function, len(rule.arguments))
    if function is None:
        raise KeeperUnavailable(f"{rule.contract} has no function {rule.function}.")
    return ContractCall(
        contract.addresses[0], encode_call(function, [values[name] for name in rule.arguments]), value_wei
    )

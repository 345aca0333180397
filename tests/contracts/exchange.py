"""Drives the deployed exchange over JSON-RPC: chosen block times, signed prices made on the spot, decoded events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from web3 import HTTPProvider, Web3
from web3.contract import Contract

from contracts.build import artifact
from contracts.deployment import Deployment
from contracts.feeds import EXPO, FEEDS
from contracts.markets import WAD, MarketParameters
from contracts.pnau import PriceMessage, encode_prices

BTC, ETH, SOL = 1, 2, 3
LIMIT, STOP_LOSS, TAKE_PROFIT = 1, 2, 3
NO_LIMIT_UP = 2**256 - 1
NO_LIMIT_DOWN = 0
GAS = 3_000_000
MARKET_FIELDS = (
    "symbol",
    "base_token",
    "quote_token",
    "pyth_price_id",
    "parameters",
    "long_open_interest",
    "short_open_interest",
    "long_funding_index",
    "short_funding_index",
    "funding_settled_at",
)
POSITION_FIELDS = (
    "owner",
    "market_id",
    "is_long",
    "size",
    "collateral",
    "entry_price",
    "entry_funding_index",
)
ORDER_FIELDS = (
    "owner",
    "kind",
    "market_id",
    "is_long",
    "position_id",
    "size",
    "collateral",
    "trigger_price",
    "acceptable_price",
    "execution_fee",
    "expires_at",
)


def wad(text: str) -> int:
    """A decimal number as wad; exact or an error."""
    scaled = Decimal(text) * WAD
    assert scaled == int(scaled)
    return int(scaled)


@dataclass(frozen=True)
class Event:
    """One decoded log."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Mined:
    """A mined transaction that succeeded."""

    events: list[Event]
    gas_used: int
    timestamp: int

    def one(self, name: str) -> dict[str, Any]:
        """The arguments of the only event of this name."""
        (found,) = [event for event in self.events if event.name == name]
        return found.args


class Exchange:
    """The token, the development Pyth and the exchange on one node; accounts are the node's own."""

    def __init__(self, url: str, deployment: Deployment):
        self.w3 = Web3(HTTPProvider(url))
        self.w3.middleware_onion.remove("validation")  # it asks for the chain id before each call
        self.deployment = deployment
        self.token = self._contract("dev_token", deployment.token.address)
        self.pyth = self._contract("dev_pyth", deployment.pyth.address)
        self.perp = self._contract("perp", deployment.perp.address)
        self.owner, self.alice, self.bob, self.keeper = self.w3.eth.accounts[:4]
        self._decoders = {
            "0x" + event.topic.removeprefix("0x"): event
            for contract in (self.pyth, self.perp)
            for event in (each() for each in contract.events)
        }

    def _contract(self, name: str, address: str) -> Contract:
        return self.w3.eth.contract(address=self.w3.to_checksum_address(address), abi=artifact(name).abi)

    def rpc(self, method: str, *params: object) -> Any:
        """A raw call; the node's error fails the test."""
        answer = self.w3.provider.make_request(method, list(params))
        assert "error" not in answer, answer
        return answer["result"]

    @property
    def now(self) -> int:
        """The newest block's time."""
        return self.w3.eth.get_block("latest")["timestamp"]

    def fund(self, account: str, amount_wad: int = 10**9 * WAD) -> None:
        """Give an account collateral tokens and let the exchange take them."""
        self.send(self.token, "mint", account, amount_wad, sender=account)
        self.send(self.token, "approve", self.perp.address, NO_LIMIT_UP, sender=account)

    def price(self, market_id: int, price: str, *, conf: str = "0.01", publish_time: int) -> bytes:
        """Signed update bytes of one feed."""
        raw = int(Decimal(price).scaleb(-EXPO))
        return encode_prices(
            [
                PriceMessage(
                    price_id=FEEDS[market_id - 1].price_id,
                    price=raw,
                    conf=int(Decimal(conf).scaleb(-EXPO)),
                    expo=EXPO,
                    publish_time=publish_time,
                    prev_publish_time=publish_time - 1,
                    ema_price=raw,
                    ema_conf=0,
                )
            ]
        )

    def send(
        self, contract: Contract, function: str, *arguments: object, sender: str, value: int = 0, after: int = 1
    ) -> Mined:
        """Mine one call `after` seconds past the newest block; it must succeed."""
        mined = self.attempt(contract, function, *arguments, sender=sender, value=value, after=after)
        assert mined is not None, f"{function} reverted"
        return mined

    def attempt(
        self, contract: Contract, function: str, *arguments: object, sender: str, value: int = 0, after: int = 1
    ) -> Mined | None:
        """The same for a call that may revert: then None."""
        timestamp = self.now + after
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        self.rpc("eth_sendTransaction", self._call(contract, function, arguments, sender, value))
        self.rpc("evm_mine")  # the node does not mine by itself: so the receipt is there when this returns
        (receipt,) = self.w3.eth.get_block_receipts("latest")
        if receipt["status"] != 1:
            return None
        return Mined(self.decode(receipt["logs"]), receipt["gasUsed"], timestamp)

    def refusal(
        self, contract: Contract, function: str, *arguments: object, sender: str, value: int = 0, after: int = 1
    ) -> str:
        """Why the call would revert at that time: the reason string, or the raw data of a custom error."""
        call = self._call(contract, function, arguments, sender, value)
        answer = self.w3.provider.make_request("eth_call", [call, "latest", {}, {"time": hex(self.now + after)}])
        assert "error" in answer, f"{function} did not revert"
        message = answer["error"]["message"].removeprefix("execution reverted: ")
        return message.removeprefix("custom error ")

    def trade(self, function: str, *arguments: object, at: str, sender: str | None = None, **options: Any) -> Mined:
        """Mine a call of the exchange with a fresh price `at` of the market it names or that its position is in."""
        prepared = self._with_price(function, arguments, at, options)
        return self.send(self.perp, function, *prepared, sender=sender or self.alice, value=1, **options)

    def trade_refusal(
        self, function: str, *arguments: object, at: str, sender: str | None = None, **options: Any
    ) -> str:
        """Why such a call would revert."""
        prepared = self._with_price(function, arguments, at, options)
        return self.refusal(self.perp, function, *prepared, sender=sender or self.alice, value=1, **options)

    def _with_price(
        self, function: str, arguments: Sequence[Any], at: str, options: dict[str, Any]
    ) -> tuple[object, ...]:
        market_id = arguments[0]
        if function == "execute_order":
            market_id = self.order(arguments[0])["market_id"]
        elif function not in ("open", "settle_funding", "update_market"):
            market_id = self.position(arguments[0])["market_id"]
        conf = options.pop("conf", "0.01")
        publish_time = self.now + options.get("after", 1)
        return (*arguments, [self.price(market_id or BTC, at, conf=conf, publish_time=publish_time)])

    def _call(
        self, contract: Contract, function: str, arguments: Sequence[object], sender: str, value: int
    ) -> dict[str, str]:
        data = contract.encode_abi(function, list(arguments))
        return {"from": sender, "to": contract.address, "data": data, "value": hex(value), "gas": hex(GAS)}

    def decode(self, logs: Sequence[Any]) -> list[Event]:
        """The logs of ours, decoded; the token's are left out."""
        known = [(self._decoders.get("0x" + bytes(log["topics"][0]).hex()), log) for log in logs]
        return [Event(decoder.abi["name"], dict(decoder.process_log(log)["args"])) for decoder, log in known if decoder]

    def all_events(self) -> list[Event]:
        """Everything the exchange has ever logged."""
        return self.decode(self.w3.eth.get_logs({"address": self.perp.address, "fromBlock": 0, "toBlock": "latest"}))

    def view(self, function: str, *arguments: object) -> Any:
        """A view of the exchange at the newest block."""
        return self.perp.functions[function](*arguments).call()

    def market(self, market_id: int) -> dict[str, Any]:
        """A market's state by field."""
        fields = dict(zip(MARKET_FIELDS, self.view("markets", market_id), strict=True))
        fields["parameters"] = MarketParameters(*fields["parameters"])
        return fields

    def position(self, position_id: int) -> dict[str, Any]:
        """A position's state by field; all zero when there is none."""
        return dict(zip(POSITION_FIELDS, self.view("positions", position_id), strict=True))

    def order(self, order_id: int) -> dict[str, Any]:
        """A waiting order by field; all zero when there is none."""
        return dict(zip(ORDER_FIELDS, self.view("orders", order_id), strict=True))

    def balance(self, account: str) -> int:
        """An account's tokens."""
        return self.token.functions.balanceOf(account).call()

    def open(
        self,
        is_long: bool,
        size: str,
        collateral: str,
        *,
        at: str,
        market_id: int = BTC,
        sender: str | None = None,
        **options: Any,
    ) -> int:
        """Open a position without a price limit; its id."""
        limit = NO_LIMIT_UP if is_long else NO_LIMIT_DOWN
        arguments = (market_id, is_long, wad(size), wad(collateral), limit)
        return self.trade("open", *arguments, at=at, sender=sender, **options).one("PositionOpened")["position_id"]

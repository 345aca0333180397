"""Perpetual v2 as its package has it, on Uniswap v3: one market, a maker, and a feed that says what it is told."""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Any

from vyper.compiler import compile_code
from web3.contract import Contract

from tests.protocols.deployed import Ground
from tests.protocols.npm import AAVE, PERPETUAL, UNISWAP

WAD = 10**18
USD = 10**6
MAX = 2**256 - 1
FEE = 10_000
START_PRICE = 100
LOWER, UPPER = 23_000, 69_000  # ticks of about 10 and 1,000

# What the market's base token asks its price feed dispatcher.
FEED = """
# pragma version 0.4.3
price: public(uint256)

@external
def set_price(price: uint256):
    self.price = price

@external
@view
def decimals() -> uint8:
    return 18

@external
@view
def getDispatchedPrice(interval: uint256) -> uint256:
    return self.price

@external
def dispatchPrice(interval: uint256):
    pass
"""


@cache
def feed_code() -> dict[str, Any]:
    return dict(compile_code(FEED, output_formats=["abi", "bytecode"]))


class Perpetual:
    """The protocol, deployed; a maker's liquidity in its market."""

    def __init__(self, ground: Ground):
        self.ground, send = ground, ground.send
        self.feed = self._feed()
        self.index_price(START_PRICE)
        self.usd = ground.deploy(AAVE, "MintableERC20", "USDC", "USDC", 6)
        self.quote = self._made("QuoteToken", "vUSD", "vUSD")
        self.base = self._base()
        factory = ground.deploy(UNISWAP, "UniswapV3Factory")
        self.config = self._made("ClearingHouseConfig")
        self.markets = self._made("MarketRegistry", factory.address, self.quote.address)
        self.orders = self._made("OrderBook", self.markets.address)
        self.accounts = self._made("AccountBalance", self.config.address, self.orders.address)
        self.exchange = self._made("Exchange", self.markets.address, self.orders.address, self.config.address)
        self.insurance = self._made("InsuranceFund", self.usd.address)
        self.vault = self._made(
            "Vault", *(one.address for one in (self.insurance, self.config, self.accounts, self.exchange))
        )
        collateral = self._made(
            "CollateralManager",
            *(self.config.address, self.vault.address, 5, 750_000, 500_000, 2_000, 30_000, 10_000 * USD, 500 * USD),
        )
        house = (self.config, self.vault, self.quote, factory, self.exchange, self.accounts, self.insurance)
        self.house = self._made("ClearingHouse", *(one.address for one in house))
        send(self.exchange.functions.setAccountBalance(self.accounts.address))
        send(self.orders.functions.setExchange(self.exchange.address))
        send(self.insurance.functions.setVault(self.vault.address))
        send(self.accounts.functions.setVault(self.vault.address))
        send(self.vault.functions.setCollateralManager(collateral.address))
        send(self.config.functions.setSettlementTokenBalanceCap(MAX))
        for one in (self.markets, self.orders, self.exchange, self.accounts, self.vault):
            send(one.functions.setClearingHouse(self.house.address))
        self.first_block = int(ground.w3.eth.block_number)
        self.pool = self._market(factory)
        self.deposit(ground.maker, 1_000_000)
        self._provide()

    def _made(self, name: str, *values: Any) -> Contract:
        made = self.ground.deploy(PERPETUAL, name)
        self.ground.send(made.functions.initialize(*values))
        return made

    def _feed(self) -> Contract:
        made = self.ground.w3.eth.contract(**feed_code()).constructor().transact({"from": self.ground.owner})
        address = self.ground.w3.eth.wait_for_transaction_receipt(made)["contractAddress"]
        return self.ground.w3.eth.contract(abi=feed_code()["abi"], address=address)

    def _base(self) -> Contract:
        """A base token with an address below the quote token's, as a market must have it."""
        while True:
            made = self.ground.deploy(PERPETUAL, "BaseToken")
            if int(made.address, 16) < int(self.quote.address, 16):
                self.ground.send(made.functions.initialize("vETH", "vETH", self.feed.address))
                return made

    def _market(self, factory: Contract) -> Contract:
        send, base, quote = self.ground.send, self.base, self.quote
        send(factory.functions.createPool(base.address, quote.address, FEE))
        pool = self.ground.at(
            UNISWAP, "UniswapV3Pool", factory.functions.getPool(base.address, quote.address, FEE).call()
        )
        send(pool.functions.initialize(isqrt(START_PRICE << 192)))
        send(pool.functions.increaseObservationCardinalityNext(500))
        for token in (base, quote):
            send(token.functions.mintMaximumTo(self.house.address))
            send(token.functions.addWhitelist(self.house.address))
            send(token.functions.addWhitelist(pool.address))
        send(self.markets.functions.addPool(base.address, FEE))
        send(self.exchange.functions.setMaxTickCrossedWithinBlock(base.address, 1_000))
        self.ground.later(3_600)  # the mark price is an average of half an hour, which the pool must have behind it
        return pool

    def _provide(self) -> None:
        order = (self.base.address, 10_000 * WAD, 1_000_000 * WAD, *(LOWER - LOWER % 200, UPPER - UPPER % 200))
        self.ground.send(self.house.functions.addLiquidity((*order, 0, 0, False, MAX)), self.ground.maker)

    def index_price(self, price: int) -> None:
        """What the feed says from now on."""
        self.ground.send(self.feed.functions.set_price(price * WAD))

    def deposit(self, who: str, amount: int) -> None:
        """Collateral for an account, in whole dollars."""
        send = self.ground.send
        send(self.usd.functions.mint(who, amount * USD))
        send(self.usd.functions.approve(self.vault.address, MAX), who)
        send(self.vault.functions.deposit(self.usd.address, amount * USD), who)

    def open(self, who: str, base_amount: int) -> Any:
        """Buy (positive) or sell that much base."""
        short = base_amount < 0
        order = (self.base.address, short, short, abs(base_amount), 0 if short else MAX, MAX, 0, bytes(32))
        return self.ground.send(self.house.functions.openPosition(order), who)

    def close(self, who: str) -> Any:
        """Give the whole position up."""
        size = self.size(who)
        order = (self.base.address, 0, 0 if size > 0 else MAX, MAX, bytes(32))
        return self.ground.send(self.house.functions.closePosition(order), who)

    def liquidate(self, whose: str, by: str) -> Any:
        """As much as the contract allows."""
        call = self.house.get_function_by_signature("liquidate(address,address)")
        return self.ground.send(call(whose, self.base.address), by)

    def size(self, who: str) -> int:
        """The position, as the contract itself has it."""
        return int(self.accounts.functions.getTakerPositionSize(who, self.base.address).call())

    def open_notional(self, who: str) -> int:
        """What was paid for it (negative) or got, as the contract itself has it."""
        return int(self.accounts.functions.getTakerOpenNotional(who, self.base.address).call())

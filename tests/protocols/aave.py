"""Aave v3 as its package has it: a pool with two reserves, a supplier, a borrower, and a price that moves."""

from __future__ import annotations

from web3.contract import Contract

from tests.protocols.deployed import Ground
from tests.protocols.npm import AAVE

NOBODY = "0x" + "00" * 20
RAY = 10**27
PRICE = 10**8
VARIABLE = 2
LOGIC = ("SupplyLogic", "LiquidationLogic", "EModeLogic", "BridgeLogic", "PoolLogic", "BorrowLogic")


class Aave:
    """The protocol, deployed."""

    def __init__(self, ground: Ground):
        self.ground = ground
        owner = ground.owner
        self.provider = ground.deploy(AAVE, "PoolAddressesProvider", "local", owner)
        self.oracle = ground.deploy(AAVE, "PriceOracle")
        ground.send(self.provider.functions.setPriceOracle(self.oracle.address))
        ground.send(self.provider.functions.setACLAdmin(owner))
        roles = ground.deploy(AAVE, "ACLManager", self.provider.address)
        ground.send(self.provider.functions.setACLManager(roles.address))
        for role in (roles.functions.addPoolAdmin, roles.functions.addAssetListingAdmin, roles.functions.addRiskAdmin):
            ground.send(role(owner))
        self.pool = self._pool()
        self.configurator = self._configurator()
        tokens = [
            ground.deploy(AAVE, name, self.pool.address) for name in ("AToken", "StableDebtToken", "VariableDebtToken")
        ]
        self.rates = ground.deploy(AAVE, "DefaultReserveInterestRateStrategy", self.provider.address, *_rates())
        self.usd, self.eth = (self._reserve(name, tokens) for name in ("USD", "ETH"))
        self.price(self.usd, PRICE)
        self.price(self.eth, 2000 * PRICE)

    def _pool(self) -> Contract:
        ground = self.ground
        logic = {name: ground.deploy(AAVE, name) for name in LOGIC}
        logic["FlashLoanLogic"] = ground.deploy(AAVE, "FlashLoanLogic", libraries=logic)
        made = ground.deploy(AAVE, "Pool", self.provider.address, libraries=logic)
        ground.send(self.provider.functions.setPoolImpl(made.address))
        self.first_block = int(ground.w3.eth.block_number)
        return ground.at(AAVE, "Pool", self.provider.functions.getPool().call())

    def _configurator(self) -> Contract:
        logic = {"ConfiguratorLogic": self.ground.deploy(AAVE, "ConfiguratorLogic")}
        made = self.ground.deploy(AAVE, "PoolConfigurator", libraries=logic)
        self.ground.send(self.provider.functions.setPoolConfiguratorImpl(made.address))
        return self.ground.at(AAVE, "PoolConfigurator", self.provider.functions.getPoolConfigurator().call())

    def _reserve(self, name: str, tokens: list[Contract]) -> Contract:
        asset = self.ground.deploy(AAVE, "MintableERC20", name, name, 18)
        names = [f"{kind}{name}" for kind in ("a", "a", "v", "v", "s", "s")]
        plans = [one.address for one in tokens]
        listed = (*plans, 18, self.rates.address, asset.address, self.ground.owner, NOBODY, *names, b"")
        configure, send = self.configurator.functions, self.ground.send
        send(configure.initReserves([listed]))
        send(configure.configureReserveAsCollateral(asset.address, 8000, 8250, 10500))
        send(configure.setReserveBorrowing(asset.address, True))
        return asset

    def price(self, asset: Contract, price: int) -> None:
        """What the oracle says from now on."""
        self.ground.send(self.oracle.functions.setAssetPrice(asset.address, price))

    def fund(self, asset: Contract, who: str, amount: int) -> None:
        """Tokens, which the pool may take."""
        self.ground.send(asset.functions.mint(who, amount))
        self.ground.send(asset.functions.approve(self.pool.address, 2**256 - 1), who)


def _rates() -> tuple[int, ...]:
    """Optimal usage; the variable base and slopes; the stable slopes, offsets and ratio."""
    return (8 * RAY // 10, 0, 4 * RAY // 100, 75 * RAY // 100, RAY // 100, RAY, RAY // 100, RAY // 10, 2 * RAY // 10)

# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title A perpetual exchange
@notice Isolated margin, one position an id. Traders win from and lose to one pool; funding goes from the crowded
        side to the other. Prices come from Pyth, inside the transaction that uses them.

        Conditional orders wait here with their collateral and their keeper's fee, and anyone may execute one whose
        price has come: limit orders open or increase a position, stop-loss and take-profit orders close one or a
        part of it.

        Units. Every amount, size, price and rate is a wad (1e18) integer: sizes in whole units of the base token,
        prices in quote a unit of base, collateral and payments in quote, rates as fractions (funding: a second).
        The collateral is an 18-decimal token, so a wad of quote is one token unit.

        Rounding. Whatever a trader owes is rounded up and whatever a trader receives is rounded down, each payment
        by itself, so that rounding never takes from the pool.

        Events. They alone rebuild every position, open interest, index, and the pool and insurance balances.
"""
from ethereum.ercs import IERC20


struct Price:
    price: int64
    conf: uint64
    expo: int32
    publishTime: uint256

interface IPyth:
    def getUpdateFee(update_data: DynArray[Bytes[4096], 8]) -> uint256: view
    def updatePriceFeeds(update_data: DynArray[Bytes[4096], 8]): payable
    def getPriceNoOlderThan(id: bytes32, age: uint256) -> Price: view
    def getPriceUnsafe(id: bytes32) -> Price: view


# What the owner may change later.
struct MarketParameters:
    max_leverage: uint256                 # wad: 20e18 is 20 times
    maintenance_margin_rate: uint256      # wad fraction of the notional
    liquidation_fee_rate: uint256         # wad fraction of the notional: the caller's bonus
    open_fee_rate: uint256                # wad fraction of the notional, taken from the collateral
    close_fee_rate: uint256               # wad fraction of the notional, taken from the payout
    funding_factor_per_second: uint256    # wad fraction a second when all interest is on one side
    max_funding_rate_per_second: uint256  # wad fraction a second
    max_price_age_seconds: uint256
    max_confidence_bps: uint256           # for opening and withdrawing only

struct Market:
    symbol: String[32]
    base_token: String[16]
    quote_token: String[16]
    pyth_price_id: bytes32
    parameters: MarketParameters
    long_open_interest: uint256
    short_open_interest: uint256
    long_funding_index: int256            # quote wad owed since the start by a long of one whole unit of base
    short_funding_index: int256           # the same for a short; a side that receives has a falling index
    funding_settled_at: uint256

struct Position:
    owner: address
    market_id: uint256
    is_long: bool
    size: uint256                         # zero: there is no such position (any more)
    collateral: uint256
    entry_price: uint256
    entry_funding_index: int256           # its side's index when it opened; averaged with the size when it grows

# What waits for a price. Its position's market and side, or for a new position its own.
struct Order:
    owner: address
    kind: uint8                           # LIMIT, STOP_LOSS or TAKE_PROFIT; zero: there is no such order (any more)
    market_id: uint256
    is_long: bool
    position_id: uint256                  # zero: a limit order that opens one
    size: uint256                         # of a closing order: more than the position has means all of it
    collateral: uint256                   # held here until then; nothing for a closing order
    trigger_price: uint256
    acceptable_price: uint256             # a buyer's highest price, a seller's lowest
    execution_fee: uint256                # held here, for whoever executes it
    expires_at: uint256                   # zero: never

# A price ready for use: wad, checked to be positive and in range.
struct Quote:
    price: uint256
    confidence: uint256
    publish_time: uint256

# What a position is worth at one price and one pair of indexes.
struct Valuation:
    pnl: int256       # price profit, rounded down
    funding: int256   # funding owed, rounded up; negative is funding earned
    equity: int256    # collateral + pnl - funding

# How a liquidation's money is divided.
struct Settlement:
    bonus: uint256           # paid to the caller
    returned: uint256        # paid to the owner
    bad_debt: uint256        # the negative part of the equity
    insurance_paid: uint256  # for the bonus and the bad debt together


event MarketAdded:
    market_id: indexed(uint256)
    symbol: String[32]
    base_token: String[16]
    quote_token: String[16]
    pyth_price_id: bytes32
    max_leverage: uint256
    maintenance_margin_rate: uint256
    liquidation_fee_rate: uint256
    open_fee_rate: uint256
    close_fee_rate: uint256
    funding_factor_per_second: uint256
    max_funding_rate_per_second: uint256
    max_price_age_seconds: uint256
    max_confidence_bps: uint256

event MarketUpdated:
    market_id: indexed(uint256)
    max_leverage: uint256
    maintenance_margin_rate: uint256
    liquidation_fee_rate: uint256
    open_fee_rate: uint256
    close_fee_rate: uint256
    funding_factor_per_second: uint256
    max_funding_rate_per_second: uint256
    max_price_age_seconds: uint256
    max_confidence_bps: uint256

event PositionOpened:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    is_long: bool
    size: uint256
    entry_price: uint256
    collateral: uint256        # what the position holds: the fee is already taken
    fee: uint256
    entry_funding_index: int256
    price_publish_time: uint256

# payout = collateral + realized_pnl - funding_paid - fee
event PositionClosed:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    is_long: bool
    exit_price: uint256
    size: uint256
    realized_pnl: int256
    funding_paid: int256       # negative: the trader earned funding
    fee: uint256
    payout: uint256

# A part of a position is closed as if it were one of its own; `size` and `collateral` are that part's, and are gone.
# payout = collateral + realized_pnl - funding_paid - fee
event PositionDecreased:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    is_long: bool
    exit_price: uint256
    size: uint256
    collateral: uint256
    realized_pnl: int256
    funding_paid: int256
    fee: uint256
    payout: uint256

# What the position is after it: price and index are averages by size, rounded against the trader.
event PositionIncreased:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    is_long: bool
    price: uint256             # of what was added
    size: uint256
    collateral: uint256
    entry_price: uint256
    entry_funding_index: int256
    fee: uint256

# equity = collateral + realized_pnl - funding_paid; bad_debt is its negative part
event PositionLiquidated:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    liquidator: address
    is_long: bool
    price: uint256
    size: uint256
    liquidation_fee: uint256   # the bonus really paid
    funding_paid: int256
    realized_pnl: int256
    bad_debt: uint256
    insurance_paid: uint256
    returned_to_owner: uint256

event CollateralChanged:
    position_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    delta: int256
    collateral: uint256        # after the change

# The interests are those the rate was computed from: before the call that accrued changed them.
event FundingSettled:
    market_id: indexed(uint256)
    rate_per_second: int256    # positive: longs pay
    long_funding_index: int256
    short_funding_index: int256
    long_open_interest: uint256
    short_open_interest: uint256
    price: uint256
    elapsed_seconds: uint256
    settled_at: uint256

event OrderPlaced:
    order_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    kind: uint8
    is_long: bool
    position_id: uint256
    size: uint256
    collateral: uint256
    trigger_price: uint256
    acceptable_price: uint256
    execution_fee: uint256
    expires_at: uint256

event OrderCancelled:
    order_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)

event OrderExecuted:
    order_id: indexed(uint256)
    owner: indexed(address)
    market_id: indexed(uint256)
    position_id: uint256       # the new one, where it opened one
    keeper: address
    price: uint256
    size: uint256              # what was really bought or sold
    execution_fee: uint256

event PoolDeposited:
    sender: indexed(address)
    amount: uint256

event InsuranceDeposited:
    sender: indexed(address)
    amount: uint256

event PauseChanged:
    paused: bool


WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000
# Bounds that keep size * price * rate below 2**256, whatever the feed says.
MAX_SIZE: constant(uint256) = 10**30
MAX_PRICE: constant(uint256) = 10**28
MAX_LEVERAGE: constant(uint256) = 1_000 * 10**18
MAX_FEE_RATE: constant(uint256) = 10**17
MAX_FUNDING_RATE: constant(uint256) = 10**14
# A shorter age could never be met, and then the rule could never be changed: changing it needs a price.
MIN_PRICE_AGE: constant(uint256) = 5
# Kinds of orders.
LIMIT: constant(uint8) = 1
STOP_LOSS: constant(uint8) = 2
TAKE_PROFIT: constant(uint8) = 3

OWNER: immutable(address)
TOKEN: immutable(IERC20)
PYTH: immutable(IPyth)

paused: public(bool)
# Ids count from 1, so that zero means none and an indexer walks them without a list. The symbol carries the name.
market_count: public(uint256)
position_count: public(uint256)
order_count: public(uint256)
markets: public(HashMap[uint256, Market])
positions: public(HashMap[uint256, Position])
orders: public(HashMap[uint256, Order])
pool: public(uint256)
insurance: public(uint256)
total_collateral: public(uint256)
escrow: public(uint256)  # what the waiting orders hold: collateral and fees


@deploy
def __init__(token: address, pyth: address):
    OWNER = msg.sender
    TOKEN = IERC20(token)
    PYTH = IPyth(pyth)


# ---------------------------------------------------------------- the owner

@external
def add_market(
    symbol: String[32],
    base_token: String[16],
    quote_token: String[16],
    pyth_price_id: bytes32,
    parameters: MarketParameters,
) -> uint256:
    """
    @notice Open a new market; funding counts from now.
    """
    self._only_owner()
    assert len(symbol) > 0, "symbol"
    self._check_parameters(parameters)
    self.market_count += 1
    market_id: uint256 = self.market_count
    self.markets[market_id] = Market(
        symbol=symbol,
        base_token=base_token,
        quote_token=quote_token,
        pyth_price_id=pyth_price_id,
        parameters=parameters,
        long_open_interest=0,
        short_open_interest=0,
        long_funding_index=0,
        short_funding_index=0,
        funding_settled_at=block.timestamp,
    )
    log MarketAdded(
        market_id=market_id,
        symbol=symbol,
        base_token=base_token,
        quote_token=quote_token,
        pyth_price_id=pyth_price_id,
        max_leverage=parameters.max_leverage,
        maintenance_margin_rate=parameters.maintenance_margin_rate,
        liquidation_fee_rate=parameters.liquidation_fee_rate,
        open_fee_rate=parameters.open_fee_rate,
        close_fee_rate=parameters.close_fee_rate,
        funding_factor_per_second=parameters.funding_factor_per_second,
        max_funding_rate_per_second=parameters.max_funding_rate_per_second,
        max_price_age_seconds=parameters.max_price_age_seconds,
        max_confidence_bps=parameters.max_confidence_bps,
    )
    return market_id


@external
@payable
def update_market(market_id: uint256, parameters: MarketParameters, update_data: DynArray[Bytes[4096], 8]):
    """
    @notice Change a market's parameters. Funding is accrued by the old ones up to this second first.
    """
    self._only_owner()
    self._only_known_market(market_id)
    self._check_parameters(parameters)
    self._update_prices(update_data)
    self._accrue_funding(market_id, self._fresh_quote(market_id).price)
    self.markets[market_id].parameters = parameters
    log MarketUpdated(
        market_id=market_id,
        max_leverage=parameters.max_leverage,
        maintenance_margin_rate=parameters.maintenance_margin_rate,
        liquidation_fee_rate=parameters.liquidation_fee_rate,
        open_fee_rate=parameters.open_fee_rate,
        close_fee_rate=parameters.close_fee_rate,
        funding_factor_per_second=parameters.funding_factor_per_second,
        max_funding_rate_per_second=parameters.max_funding_rate_per_second,
        max_price_age_seconds=parameters.max_price_age_seconds,
        max_confidence_bps=parameters.max_confidence_bps,
    )


@external
def set_paused(paused: bool):
    """
    @notice A pause stops what adds risk: opening and withdrawing. Adding collateral, closing, liquidating and
            settling go on, so that nobody's money is shut in. Of the orders, those that close go on too.
    """
    self._only_owner()
    self.paused = paused
    log PauseChanged(paused=paused)


# ---------------------------------------------------------------- the pool and the insurance

@external
def deposit_pool(amount: uint256):
    """
    @notice Give tokens to the balance that traders win from and lose to. It is a gift: there are no shares.
    """
    assert amount > 0, "zero amount"
    self.pool += amount
    self._take(amount)
    log PoolDeposited(sender=msg.sender, amount=amount)


@external
def deposit_insurance(amount: uint256):
    """
    @notice Give tokens to the balance that covers bonuses and bad debt.
    """
    assert amount > 0, "zero amount"
    self.insurance += amount
    self._take(amount)
    log InsuranceDeposited(sender=msg.sender, amount=amount)


# ---------------------------------------------------------------- traders

@external
@payable
def open(
    market_id: uint256,
    is_long: bool,
    size: uint256,
    collateral: uint256,
    price_limit: uint256,
    update_data: DynArray[Bytes[4096], 8],
) -> uint256:
    """
    @notice Open a position of the caller's own at the feed's price, and return its id.
    @param collateral What the caller pays in; the fee is taken out of it.
    @param price_limit A long is refused above it, a short below it (none: the largest uint256, or zero).
    """
    assert not self.paused, "paused"
    self._only_known_market(market_id)
    self._only_size(size)
    self._update_prices(update_data)
    quote: Quote = self._fresh_quote(market_id)
    self._accrue_funding(market_id, quote.price)
    self._only_confident(market_id, quote)
    self._only_within(is_long, quote.price, price_limit)
    position_id: uint256 = self._open(msg.sender, market_id, is_long, size, collateral, quote)
    self._take(collateral)
    return position_id


@external
@payable
def modify_collateral(position_id: uint256, delta: int256, update_data: DynArray[Bytes[4096], 8]):
    """
    @notice Add collateral (delta above zero) or withdraw it. Funding is not settled here: the position's entry index
            stays as it is, and its equity counts what is owed.
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    assert position.owner == msg.sender, "not owner"
    assert delta != 0, "zero amount"
    self._update_prices(update_data)
    quote: Quote = self._fresh_quote(position.market_id)
    self._accrue_funding(position.market_id, quote.price)

    amount: uint256 = self._magnitude(delta)
    if delta > 0:
        position.collateral += amount
        self.total_collateral += amount
        self._take(amount)
    else:
        assert not self.paused, "paused"
        self._only_confident(position.market_id, quote)
        assert position.collateral >= amount, "collateral too small"
        position.collateral -= amount
        margin: uint256 = self._initial_margin(position.market_id, position.size, quote.price)
        assert self._value(position, quote.price).equity >= convert(margin, int256), "leverage"
        self.total_collateral -= amount
        self._give(msg.sender, amount)
    self.positions[position_id].collateral = position.collateral
    log CollateralChanged(
        position_id=position_id,
        owner=position.owner,
        market_id=position.market_id,
        delta=delta,
        collateral=position.collateral,
    )


@external
@payable
def close(position_id: uint256, price_limit: uint256, update_data: DynArray[Bytes[4096], 8]) -> uint256:
    """
    @notice Close the caller's whole position and return what it was paid. A solvent position may be closed even when
            it could be liquidated; an insolvent one may not, so that bad debt has one way in: liquidation.
    @param price_limit A long is refused below it, a short above it (none: zero, or the largest uint256).
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    assert position.owner == msg.sender, "not owner"
    self._update_prices(update_data)
    quote: Quote = self._fresh_quote(position.market_id)
    self._accrue_funding(position.market_id, quote.price)
    self._only_within(not position.is_long, quote.price, price_limit)
    return self._close(position_id, position, position.size, quote.price)


# ---------------------------------------------------------------- conditional orders

@external
def place_limit_order(
    market_id: uint256,
    is_long: bool,
    position_id: uint256,
    size: uint256,
    collateral: uint256,
    trigger_price: uint256,
    acceptable_price: uint256,
    execution_fee: uint256,
    expires_at: uint256,
) -> uint256:
    """
    @notice Have a position opened (`position_id` zero), or one of the caller's own increased, once the price is at or
            below the trigger for a long, at or above it for a short. Returns the order's id.
    @param collateral Held until then together with the fee; the opening fee is taken out of it.
    @param acceptable_price A long is not bought above it, a short not sold below it.
    @param expires_at The last second it may be executed in; zero: it waits for good.
    """
    assert not self.paused, "paused"
    self._only_known_market(market_id)
    if position_id > 0:
        position: Position = self.positions[position_id]
        assert position.size > 0, "no position"
        assert position.owner == msg.sender, "not owner"
        assert position.market_id == market_id and position.is_long == is_long, "another side"
    return self._place(
        Order(
            owner=msg.sender,
            kind=LIMIT,
            market_id=market_id,
            is_long=is_long,
            position_id=position_id,
            size=size,
            collateral=collateral,
            trigger_price=trigger_price,
            acceptable_price=acceptable_price,
            execution_fee=execution_fee,
            expires_at=expires_at,
        )
    )


@external
def place_closing_order(
    kind: uint8,
    position_id: uint256,
    size: uint256,
    trigger_price: uint256,
    acceptable_price: uint256,
    execution_fee: uint256,
    expires_at: uint256,
) -> uint256:
    """
    @notice Have a position of the caller's own closed, or `size` of it, by a stop-loss (kind 2) or a take-profit
            (kind 3). Returns the order's id.
    @param size What to close; more than the position has by then means all of it.
    @param acceptable_price A long is not sold below it, a short not bought back above it.
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    assert position.owner == msg.sender, "not owner"
    assert kind == STOP_LOSS or kind == TAKE_PROFIT, "kind"
    return self._place(
        Order(
            owner=msg.sender,
            kind=kind,
            market_id=position.market_id,
            is_long=position.is_long,
            position_id=position_id,
            size=size,
            collateral=0,
            trigger_price=trigger_price,
            acceptable_price=acceptable_price,
            execution_fee=execution_fee,
            expires_at=expires_at,
        )
    )


@external
def cancel_order(order_id: uint256):
    """
    @notice Take back an order of the caller's own, at any time, with all that it holds. The order of a position that
            has ended, and one that has expired, can only be taken back.
    """
    order: Order = self.orders[order_id]
    assert order.kind > 0, "no order"
    assert order.owner == msg.sender, "not owner"
    self._forget_order(order_id, order)
    self._give(msg.sender, order.collateral + order.execution_fee)
    log OrderCancelled(order_id=order_id, owner=order.owner, market_id=order.market_id)


# ---------------------------------------------------------------- keepers

@external
@payable
def liquidate(position_id: uint256, update_data: DynArray[Bytes[4096], 8]) -> uint256:
    """
    @notice End a position whose equity is below the maintenance margin and the bonus; returns the bonus paid to the
            caller. Anyone may call, the owner too.
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    self._update_prices(update_data)
    quote: Quote = self._fresh_quote(position.market_id)
    self._accrue_funding(position.market_id, quote.price)

    valuation: Valuation = self._value(position, quote.price)
    assert self._is_below_maintenance(position, quote.price, valuation.equity), "healthy"
    # Rounded down: the caller is never paid more than the rate.
    bonus: uint256 = (
        position.size * quote.price * self.markets[position.market_id].parameters.liquidation_fee_rate // (WAD * WAD)
    )
    settlement: Settlement = self._divide(valuation.equity, bonus)
    self._remove(position_id, position)
    self._settle_liquidation(position.collateral, settlement)
    self._give(msg.sender, settlement.bonus)
    self._give(position.owner, settlement.returned)
    log PositionLiquidated(
        position_id=position_id,
        owner=position.owner,
        market_id=position.market_id,
        liquidator=msg.sender,
        is_long=position.is_long,
        price=quote.price,
        size=position.size,
        liquidation_fee=settlement.bonus,
        funding_paid=valuation.funding,
        realized_pnl=valuation.pnl,
        bad_debt=settlement.bad_debt,
        insurance_paid=settlement.insurance_paid,
        returned_to_owner=settlement.returned,
    )
    return settlement.bonus


@external
@payable
def execute_order(order_id: uint256, update_data: DynArray[Bytes[4096], 8]) -> uint256:
    """
    @notice Execute an order whose price has come; returns the fee paid to the caller. Anyone may call.
    """
    order: Order = self.orders[order_id]
    assert order.kind > 0, "no order"
    assert order.expires_at == 0 or block.timestamp <= order.expires_at, "expired"
    position: Position = self.positions[order.position_id]
    assert order.position_id == 0 or position.size > 0, "no position"
    self._update_prices(update_data)
    quote: Quote = self._fresh_quote(order.market_id)
    self._accrue_funding(order.market_id, quote.price)
    assert self._is_triggered(order, quote), "not triggered"
    self._only_within(self._buys(order), quote.price, order.acceptable_price)

    self._forget_order(order_id, order)
    position_id: uint256 = order.position_id
    size: uint256 = order.size
    if order.kind == LIMIT:
        assert not self.paused, "paused"
        self._only_confident(order.market_id, quote)
        if position_id > 0:
            self._increase(position_id, position, size, order.collateral, quote.price)
        else:
            position_id = self._open(order.owner, order.market_id, order.is_long, size, order.collateral, quote)
    else:
        size = min(size, position.size)
        self._close(position_id, position, size, quote.price)
    self._give(msg.sender, order.execution_fee)
    log OrderExecuted(
        order_id=order_id,
        owner=order.owner,
        market_id=order.market_id,
        position_id=position_id,
        keeper=msg.sender,
        price=quote.price,
        size=size,
        execution_fee=order.execution_fee,
    )
    return order.execution_fee


@external
@payable
def settle_funding(market_id: uint256, update_data: DynArray[Bytes[4096], 8]):
    """
    @notice Accrue a market's funding up to this second; anyone may call.
    """
    self._only_known_market(market_id)
    self._update_prices(update_data)
    self._accrue_funding(market_id, self._fresh_quote(market_id).price)


# ---------------------------------------------------------------- views

@external
@view
def owner() -> address:
    return OWNER


@external
@view
def token() -> address:
    return TOKEN.address


@external
@view
def pyth() -> address:
    return PYTH.address


@external
@view
def accounted_balance() -> uint256:
    """
    @notice What this contract's token balance must be: the pool, the insurance, all open positions' collateral
            and what the waiting orders hold.
    """
    return self.pool + self.insurance + self.total_collateral + self.escrow


@external
@view
def funding_rate_per_second(market_id: uint256) -> int256:
    """
    @notice The rate that accrues now (wad; positive: longs pay).
    """
    return self._funding_rate(market_id)


@external
@view
def funding_index_now(market_id: uint256) -> (int256, int256):
    """
    @notice The long and the short index as they would be if funding were accrued now, at the stored price.
    """
    self._only_known_market(market_id)
    return self._indexes_at(market_id, self._stored_quote(market_id).price)


@external
@view
def equity(position_id: uint256) -> int256:
    """
    @notice A position's equity now at the stored price, however old that is; negative when it is insolvent.
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    return self._projected_equity(position, self._stored_quote(position.market_id).price)


@external
@view
def is_liquidatable(position_id: uint256) -> bool:
    """
    @notice Whether `liquidate` would find it unhealthy now at the stored price, however old that is.
    """
    position: Position = self.positions[position_id]
    assert position.size > 0, "no position"
    price: uint256 = self._stored_quote(position.market_id).price
    return self._is_below_maintenance(position, price, self._projected_equity(position, price))


# ---------------------------------------------------------------- prices

@internal
@payable
def _update_prices(update_data: DynArray[Bytes[4096], 8]):
    # With no data the stored price must be fresh enough, and all value goes back.
    fee: uint256 = 0
    if len(update_data) > 0:
        fee = staticcall PYTH.getUpdateFee(update_data)
        assert msg.value >= fee, "update fee"
        extcall PYTH.updatePriceFeeds(update_data, value=fee)
    if msg.value > fee:
        raw_call(msg.sender, b"", value=msg.value - fee)


@internal
@view
def _fresh_quote(market_id: uint256) -> Quote:
    return self._quote(
        staticcall PYTH.getPriceNoOlderThan(
            self.markets[market_id].pyth_price_id, self.markets[market_id].parameters.max_price_age_seconds
        )
    )


@internal
@view
def _stored_quote(market_id: uint256) -> Quote:
    return self._quote(staticcall PYTH.getPriceUnsafe(self.markets[market_id].pyth_price_id))


@internal
@pure
def _quote(raw: Price) -> Quote:
    assert raw.price > 0, "price not positive"
    assert raw.expo <= 0 and raw.expo >= -18, "price exponent"
    scale: uint256 = 10 ** convert(18 + raw.expo, uint256)
    price: uint256 = convert(raw.price, uint256) * scale
    assert price <= MAX_PRICE, "price too large"
    return Quote(price=price, confidence=convert(raw.conf, uint256) * scale, publish_time=raw.publishTime)


# ---------------------------------------------------------------- funding

@internal
@view
def _funding_rate(market_id: uint256) -> int256:
    # factor * |long - short| / (long + short), rounded down, at most the maximum; nothing while a side is empty.
    longs: uint256 = self.markets[market_id].long_open_interest
    shorts: uint256 = self.markets[market_id].short_open_interest
    if longs == 0 or shorts == 0:
        return 0
    skew: uint256 = max(longs, shorts) - min(longs, shorts)
    rate: uint256 = min(
        self.markets[market_id].parameters.funding_factor_per_second * skew // (longs + shorts),
        self.markets[market_id].parameters.max_funding_rate_per_second,
    )
    return convert(rate, int256) if longs > shorts else -convert(rate, int256)


@internal
@view
def _indexes_at(market_id: uint256, price: uint256) -> (int256, int256):
    # The crowded side pays rate * seconds * price a unit, rounded up. What it pays together is shared by the other
    # side's units, rounded down. The difference stays in the pool.
    long_index: int256 = self.markets[market_id].long_funding_index
    short_index: int256 = self.markets[market_id].short_funding_index
    rate: int256 = self._funding_rate(market_id)
    if rate == 0:
        return long_index, short_index
    elapsed: uint256 = block.timestamp - self.markets[market_id].funding_settled_at
    longs: uint256 = self.markets[market_id].long_open_interest
    shorts: uint256 = self.markets[market_id].short_open_interest
    paid: uint256 = self._divide_up(self._magnitude(rate) * elapsed * price, WAD)
    received: uint256 = paid * max(longs, shorts) // min(longs, shorts)
    if rate > 0:
        return long_index + convert(paid, int256), short_index - convert(received, int256)
    return long_index - convert(received, int256), short_index + convert(paid, int256)


@internal
def _accrue_funding(market_id: uint256, price: uint256):
    elapsed: uint256 = block.timestamp - self.markets[market_id].funding_settled_at
    if elapsed == 0:
        return
    rate: int256 = self._funding_rate(market_id)
    long_index: int256 = 0
    short_index: int256 = 0
    long_index, short_index = self._indexes_at(market_id, price)
    self.markets[market_id].long_funding_index = long_index
    self.markets[market_id].short_funding_index = short_index
    self.markets[market_id].funding_settled_at = block.timestamp
    log FundingSettled(
        market_id=market_id,
        rate_per_second=rate,
        long_funding_index=long_index,
        short_funding_index=short_index,
        long_open_interest=self.markets[market_id].long_open_interest,
        short_open_interest=self.markets[market_id].short_open_interest,
        price=price,
        elapsed_seconds=elapsed,
        settled_at=block.timestamp,
    )


@internal
@view
def _index_of(market_id: uint256, is_long: bool) -> int256:
    if is_long:
        return self.markets[market_id].long_funding_index
    return self.markets[market_id].short_funding_index


# ---------------------------------------------------------------- what a position is worth

@internal
@view
def _value(position: Position, price: uint256) -> Valuation:
    # At the accrued indexes: the caller has accrued funding in this transaction.
    return self._value_at(position, price, self._index_of(position.market_id, position.is_long))


@internal
@view
def _projected_equity(position: Position, price: uint256) -> int256:
    long_index: int256 = 0
    short_index: int256 = 0
    long_index, short_index = self._indexes_at(position.market_id, price)
    return self._value_at(position, price, long_index if position.is_long else short_index).equity


@internal
@pure
def _value_at(position: Position, price: uint256, index: int256) -> Valuation:
    # Vyper's // truncates towards zero, so gains and debts are divided as magnitudes, each in its own direction.
    move: uint256 = max(price, position.entry_price) - min(price, position.entry_price)
    gains: bool = position.is_long == (price > position.entry_price)
    pnl: int256 = 0
    if gains:
        pnl = convert(position.size * move // WAD, int256)
    else:
        pnl = -convert(self._divide_up(position.size * move, WAD), int256)
    growth: int256 = index - position.entry_funding_index
    owed: uint256 = position.size * self._magnitude(growth)
    funding: int256 = 0
    if growth >= 0:
        funding = convert(self._divide_up(owed, WAD), int256)
    else:
        funding = -convert(owed // WAD, int256)
    return Valuation(pnl=pnl, funding=funding, equity=convert(position.collateral, int256) + pnl - funding)


@internal
@view
def _is_below_maintenance(position: Position, price: uint256, equity: int256) -> bool:
    # equity < size * price * rate / 1e36, exactly: an integer is below a fraction when it is below its ceiling.
    rate: uint256 = (
        self.markets[position.market_id].parameters.maintenance_margin_rate
        + self.markets[position.market_id].parameters.liquidation_fee_rate
    )
    return equity < convert(self._charge(position.size, price, rate), int256)


@internal
@view
def _initial_margin(market_id: uint256, size: uint256, price: uint256) -> uint256:
    # equity * max_leverage >= notional, exactly, by the same ceiling.
    return self._divide_up(size * price, self.markets[market_id].parameters.max_leverage)


@internal
@pure
def _charge(size: uint256, price: uint256, rate: uint256) -> uint256:
    # A fraction of the notional, rounded up.
    return self._divide_up(size * price * rate, WAD * WAD)


# ---------------------------------------------------------------- positions made, grown and ended

@internal
def _open(
    owner: address, market_id: uint256, is_long: bool, size: uint256, collateral: uint256, quote: Quote
) -> uint256:
    # The collateral is here already, or is taken by the caller.
    fee: uint256 = self._charge(size, quote.price, self.markets[market_id].parameters.open_fee_rate)
    assert collateral > fee, "collateral below fee"
    held: uint256 = collateral - fee
    # The parameters keep the initial margin above the maintenance margin and the bonus, so this one check is both.
    assert held >= self._initial_margin(market_id, size, quote.price), "leverage"

    self.position_count += 1
    position_id: uint256 = self.position_count
    index: int256 = self._index_of(market_id, is_long)
    self.positions[position_id] = Position(
        owner=owner,
        market_id=market_id,
        is_long=is_long,
        size=size,
        collateral=held,
        entry_price=quote.price,
        entry_funding_index=index,
    )
    self._add_interest(market_id, is_long, size)
    self.total_collateral += held
    self.pool += fee
    log PositionOpened(
        position_id=position_id,
        owner=owner,
        market_id=market_id,
        is_long=is_long,
        size=size,
        entry_price=quote.price,
        collateral=held,
        fee=fee,
        entry_funding_index=index,
        price_publish_time=quote.publish_time,
    )
    return position_id


@internal
def _increase(position_id: uint256, position: Position, size: uint256, collateral: uint256, price: uint256):
    # As if the addition were a position of its own and the two became one.
    fee: uint256 = self._charge(size, price, self.markets[position.market_id].parameters.open_fee_rate)
    assert collateral >= fee, "collateral below fee"
    held: uint256 = collateral - fee
    total: uint256 = position.size + size
    self._only_size(total)
    grown: Position = position
    grown.size = total
    grown.collateral += held
    cost: uint256 = position.size * position.entry_price + size * price
    grown.entry_price = self._divide_up(cost, total) if position.is_long else cost // total
    grown.entry_funding_index = self._divide_down(
        convert(position.size, int256) * position.entry_funding_index
        + convert(size, int256) * self._index_of(position.market_id, position.is_long),
        convert(total, int256),
    )
    margin: uint256 = self._initial_margin(position.market_id, total, price)
    assert self._value(grown, price).equity >= convert(margin, int256), "leverage"

    self.positions[position_id] = grown
    self._add_interest(position.market_id, position.is_long, size)
    self.total_collateral += held
    self.pool += fee
    log PositionIncreased(
        position_id=position_id,
        owner=position.owner,
        market_id=position.market_id,
        is_long=position.is_long,
        price=price,
        size=total,
        collateral=grown.collateral,
        entry_price=grown.entry_price,
        entry_funding_index=grown.entry_funding_index,
        fee=fee,
    )


@internal
def _close(position_id: uint256, position: Position, size: uint256, price: uint256) -> uint256:
    # A part takes its share of the collateral with it, rounded down; what stays is no more leveraged than before.
    part: Position = position
    part.size = size
    part.collateral = position.collateral * size // position.size
    valuation: Valuation = self._value(part, price)
    fee: uint256 = self._charge(size, price, self.markets[position.market_id].parameters.close_fee_rate)
    assert valuation.equity >= convert(fee, int256), "insolvent"
    payout: uint256 = convert(valuation.equity, uint256) - fee
    self._remove(position_id, part)
    if size < position.size:
        self.positions[position_id] = position
        self.positions[position_id].size = position.size - size
        self.positions[position_id].collateral = position.collateral - part.collateral
    self._settle_with_pool(part.collateral, payout)
    self._give(position.owner, payout)
    if size == position.size:
        log PositionClosed(
            position_id=position_id,
            owner=position.owner,
            market_id=position.market_id,
            is_long=position.is_long,
            exit_price=price,
            size=size,
            realized_pnl=valuation.pnl,
            funding_paid=valuation.funding,
            fee=fee,
            payout=payout,
        )
        return payout
    log PositionDecreased(
        position_id=position_id,
        owner=position.owner,
        market_id=position.market_id,
        is_long=position.is_long,
        exit_price=price,
        size=size,
        collateral=part.collateral,
        realized_pnl=valuation.pnl,
        funding_paid=valuation.funding,
        fee=fee,
        payout=payout,
    )
    return payout


# ---------------------------------------------------------------- orders

@internal
def _place(order: Order) -> uint256:
    self._only_size(order.size)
    assert order.trigger_price > 0, "trigger price"
    assert order.expires_at == 0 or order.expires_at > block.timestamp, "expired"
    self.order_count += 1
    order_id: uint256 = self.order_count
    self.orders[order_id] = order
    held: uint256 = order.collateral + order.execution_fee
    self.escrow += held
    if held > 0:
        self._take(held)
    log OrderPlaced(
        order_id=order_id,
        owner=order.owner,
        market_id=order.market_id,
        kind=order.kind,
        is_long=order.is_long,
        position_id=order.position_id,
        size=order.size,
        collateral=order.collateral,
        trigger_price=order.trigger_price,
        acceptable_price=order.acceptable_price,
        execution_fee=order.execution_fee,
        expires_at=order.expires_at,
    )
    return order_id


@internal
def _forget_order(order_id: uint256, order: Order):
    self.orders[order_id] = empty(Order)
    self.escrow -= order.collateral + order.execution_fee


@internal
@pure
def _buys(order: Order) -> bool:
    # Opening a long and closing a short buy; the other two sell.
    return (order.kind == LIMIT) == order.is_long


@internal
@pure
def _is_triggered(order: Order, quote: Quote) -> bool:
    # By the end of the price's interval that is worse for the trader: a buyer's highest, a seller's lowest.
    price: uint256 = quote.price - min(quote.confidence, quote.price)
    if self._buys(order):
        price = quote.price + quote.confidence
    # A long is bought low, stopped low and gains high; a short the other way round.
    waits_below: bool = order.is_long if order.kind != TAKE_PROFIT else not order.is_long
    return price <= order.trigger_price if waits_below else price >= order.trigger_price


# ---------------------------------------------------------------- the books

@internal
def _add_interest(market_id: uint256, is_long: bool, size: uint256):
    if is_long:
        self.markets[market_id].long_open_interest += size
    else:
        self.markets[market_id].short_open_interest += size


@internal
def _remove(position_id: uint256, position: Position):
    self.positions[position_id] = empty(Position)
    self.total_collateral -= position.collateral
    if position.is_long:
        self.markets[position.market_id].long_open_interest -= position.size
    else:
        self.markets[position.market_id].short_open_interest -= position.size


@internal
def _settle_with_pool(collateral: uint256, equity: uint256):
    # The position's collateral came in and its worth goes out: the pool takes or pays the difference.
    available: uint256 = self.pool + collateral
    assert available >= equity, "pool too small"
    self.pool = available - equity


@internal
@view
def _divide(equity: int256, bonus: uint256) -> Settlement:
    # The bonus comes first, from the equity and then from the insurance: without it nobody would end the position,
    # and the debt would grow. The owner keeps what is left; a debt is covered by what insurance remains.
    positive: uint256 = convert(max(equity, 0), uint256)
    bad_debt: uint256 = convert(max(-equity, 0), uint256)
    from_equity: uint256 = min(positive, bonus)
    from_insurance: uint256 = min(bonus - from_equity, self.insurance)
    return Settlement(
        bonus=from_equity + from_insurance,
        returned=positive - from_equity,
        bad_debt=bad_debt,
        insurance_paid=from_insurance + min(bad_debt, self.insurance - from_insurance),
    )


@internal
def _settle_liquidation(collateral: uint256, settlement: Settlement):
    # What comes in: the collateral and the insurance's part. What goes out: the bonus and the owner's rest. The pool
    # takes or pays the difference, and so bears the bad debt that the insurance did not cover.
    self.insurance -= settlement.insurance_paid
    self._settle_with_pool(collateral + settlement.insurance_paid, settlement.bonus + settlement.returned)


@internal
def _take(amount: uint256):
    assert extcall TOKEN.transferFrom(msg.sender, self, amount, default_return_value=True), "token"


@internal
def _give(receiver: address, amount: uint256):
    if amount > 0:
        assert extcall TOKEN.transfer(receiver, amount, default_return_value=True), "token"


# ---------------------------------------------------------------- checks and arithmetic

@internal
@view
def _only_owner():
    assert msg.sender == OWNER, "not owner"


@internal
@view
def _only_known_market(market_id: uint256):
    assert market_id > 0 and market_id <= self.market_count, "unknown market"


@internal
@view
def _only_confident(market_id: uint256, quote: Quote):
    limit: uint256 = self.markets[market_id].parameters.max_confidence_bps
    assert quote.confidence * BPS <= quote.price * limit, "confidence"


@internal
@pure
def _only_within(buys: bool, price: uint256, limit: uint256):
    # A buyer (opening a long, closing a short) will not pay more; a seller will not take less.
    if buys:
        assert price <= limit, "price limit"
    else:
        assert price >= limit, "price limit"


@internal
@pure
def _only_size(size: uint256):
    assert size > 0, "zero size"
    assert size <= MAX_SIZE, "size too large"


@internal
@pure
def _check_parameters(p: MarketParameters):
    assert p.max_leverage >= WAD and p.max_leverage <= MAX_LEVERAGE, "max leverage"
    assert p.maintenance_margin_rate > 0 and max(p.maintenance_margin_rate, p.liquidation_fee_rate) < WAD, "margin rates"
    # The most leveraged opening must not be liquidatable at once.
    assert p.max_leverage * (p.maintenance_margin_rate + p.liquidation_fee_rate) < WAD * WAD, "margin rates"
    assert max(p.open_fee_rate, p.close_fee_rate) <= MAX_FEE_RATE, "fee rates"
    assert p.funding_factor_per_second <= WAD, "funding rates"
    assert p.max_funding_rate_per_second <= MAX_FUNDING_RATE, "funding rates"
    assert p.max_price_age_seconds >= MIN_PRICE_AGE, "price age"
    assert p.max_confidence_bps > 0 and p.max_confidence_bps <= BPS, "confidence limit"


@internal
@pure
def _magnitude(x: int256) -> uint256:
    return convert(x if x >= 0 else -x, uint256)


@internal
@pure
def _divide_up(numerator: uint256, denominator: uint256) -> uint256:
    return (numerator + denominator - 1) // denominator


@internal
@pure
def _divide_down(numerator: int256, denominator: int256) -> int256:
    # Towards minus infinity; the denominator is positive. Vyper's // goes towards zero.
    quotient: int256 = numerator // denominator
    if numerator < 0 and quotient * denominator != numerator:
        quotient -= 1
    return quotient

"""Filters, balances and money that is not there."""

from __future__ import annotations

from decimal import Decimal

from tests.acceptance.account import FAR_ABOVE, FAR_BELOW, PRICE, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.expect import raises, refused
from tests.acceptance.venue_account import VenueAccount
from tests.venues.engine_types import ZERO
from tests.venues.local import ACCOUNT
from trading_core.domain.errors import OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side

D = Decimal
FILTERS, BALANCES = "filters", "balances"
DOOR = "in this process: the filters are checked at its own door"


@line_case(68, FILTERS, "the filters that were loaded are the venue's", paper="its filters are the feed's own")
async def loaded(account: VenueAccount) -> None:
    for symbol, market in account.exchange.markets.items():
        known = await account.instrument(symbol)
        assert (known.symbol, known.tick_size, known.lot_size) == (symbol, market.tick, market.lot)
        assert known.min_quantity == market.min_quantity
        # A venue that filters by quantity alone has no minimum notional to tell.
        assert known.min_notional in (market.min_notional, ZERO)
        assert known.max_quantity in (market.max_quantity, None)


@case(69, FILTERS, "half a lot too much is refused, and nothing is rounded")
async def lot(account: Account) -> None:
    instrument = await account.instrument()
    await refused(account, account.limit("c1", D("0.5") + instrument.lot_size / 2))


@case(70, FILTERS, "half a tick too much is refused, for limits and for stops")
async def tick(account: Account) -> None:
    quantity, half = await account.hold(), (await account.instrument()).tick_size / 2
    await refused(account, account.limit("c1", "0.1", FAR_BELOW + half))
    await refused(account, account.stop("s1", quantity, D(45_000) + half))


@case(71, FILTERS, "a number with thirty decimals is refused, and not cut")
async def decimals(account: Account) -> None:
    await refused(account, account.limit("c1", "0.100000000000000000000000000001"))
    await refused(account, account.limit("c2", "0.1", D(f"{FAR_BELOW}.{1:030}")))


@line_case(72, FILTERS, "what does not fit lot or tick is refused before it is sent", paper=DOOR)
async def not_sent(account: VenueAccount) -> None:
    instrument = await account.instrument()
    await refused(account, account.limit("c1", instrument.lot_size / 2))
    await refused(account, account.limit("c2", "0.1", FAR_BELOW + instrument.tick_size / 2))
    await refused(account, account.limit("c3", "0", FAR_BELOW))
    await refused(account, account.limit("c4", "-0.1", FAR_BELOW))
    assert account.sent("place") == 0


@case(73, FILTERS, "a quantity below the minimum is refused")
async def least_quantity(account: Account) -> None:
    instrument = await account.instrument()
    smaller = instrument.floor_quantity(instrument.min_quantity - instrument.lot_size)
    await refused(account, account.limit("c1", smaller))


@case(
    74,
    FILTERS,
    "a notional below the minimum is refused",
    without=dict.fromkeys(("okx", "cryptocom"), "it has a minimum quantity and no minimum notional"),
)
async def least_notional(account: Account) -> None:
    instrument = await account.instrument()
    # A price at which the smallest quantity, or a little more, is worth too little.
    price = instrument.floor_price(min(FAR_BELOW, instrument.min_notional / instrument.min_quantity / 2))
    assert 0 < price * instrument.min_quantity < instrument.min_notional
    await refused(account, account.limit("c1", instrument.min_quantity, price))


@case(75, FILTERS, "an order of a kind that lacks its price, or has one too many, is refused")
async def malformed(account: Account) -> None:
    bad = (
        OrderRequest("c1", account.symbol, Side.BUY, OrderType.LIMIT, D("0.1")),
        OrderRequest("c2", account.symbol, Side.BUY, OrderType.MARKET, D("0.1"), limit_price=FAR_BELOW),
        OrderRequest("c3", account.symbol, Side.BUY, OrderType.STOP, D("0.1")),
        OrderRequest("c4", account.symbol, Side.BUY, OrderType.STOP_LIMIT, D("0.1"), stop_price=FAR_ABOVE),
    )
    for request in bad:
        await refused(account, request)


@case(76, FILTERS, "a symbol that does not trade here is refused, and its orders are nobody's")
async def unknown_symbol(account: Account) -> None:
    await raises(OrderRefused, account.broker.place(account.market("c1", "1", symbol="NOPE/USDT")))
    assert "NOPE/USDT" not in await account.broker.instruments()
    assert await account.fills() == []


@case(77, FILTERS, "two markets at once: neither order shows in the other")
async def two_markets(account: Account) -> None:
    await account.send(account.limit("c1", "0.1"))
    report = await account.send(account.market("c2", "0.4", symbol=account.other_symbol))
    assert (report.symbol, report.filled) == (account.other_symbol, D("0.4"))
    assert {fill.symbol for fill in await account.fills("c2")} == {account.other_symbol}
    assert await account.open_keys() == {"c1"}


@case(78, BALANCES, "a resting buy locks its cost, its cancel frees it, the total stays")
async def buy_locks(account: Account) -> None:
    before = await account.quote()
    await account.send(account.limit("c1", "0.5"))
    held = await account.quote()
    assert held.total == before.total
    assert D("0.5") * FAR_BELOW <= held.locked <= D("0.5") * FAR_BELOW * D("1.01")
    await account.cancel("c1")
    assert await account.quote() == before


@case(79, BALANCES, "a resting sale locks its coins, its cancel frees them")
async def sale_locks(account: Account) -> None:
    quantity = await account.hold()
    before = await account.base()
    await account.send(account.limit("c1", quantity, FAR_ABOVE, Side.SELL))
    held = await account.base()
    assert (held.total, held.locked) == (before.total, quantity)
    await account.cancel("c1")
    assert await account.base() == before


@case(80, BALANCES, "a buy that cannot be paid for is refused")
async def cannot_pay(account: Account) -> None:
    await refused(account, account.limit("c1", "3"))
    assert await account.open_keys() == set()


@case(81, BALANCES, "a sale of what is not held is refused, and so is one of what is promised already")
async def cannot_deliver(account: Account) -> None:
    await refused(account, account.market("c1", "0.1", Side.SELL))
    quantity = await account.hold()
    await account.send(account.limit("c2", quantity, FAR_ABOVE, Side.SELL))
    await refused(account, account.market("c3", quantity, Side.SELL))


@case(82, BALANCES, "after buys and sells the balances are the deposit and the fills, to the last digit")
async def adds_up(account: Account) -> None:
    begun = (await account.quote()).total
    quantity = await account.hold("0.5")
    await account.send(account.limit("c1", quantity / 2, PRICE - 1000))
    await account.trade(Side.SELL, PRICE - 1000, quantity / 4)
    report = await account.send(account.market("c2", "0.2", Side.SELL))
    assert report.state is OrderState.FILLED
    base, quote, fills = D(0), begun, await account.fills()
    for fill in fills:
        sign = 1 if fill.side is Side.BUY else -1
        base, quote = base + sign * fill.quantity, quote - sign * fill.notional
        if fill.fee.asset == account.symbol.partition("/")[0]:
            base -= fill.fee.amount
        else:
            quote -= fill.fee.amount
    assert ((await account.base()).total, (await account.quote()).total) == (base, quote)


@line_case(
    83, BALANCES, "every balance told is the venue's own, free and locked", paper="in this process: its books are the venue's"
)
async def as_the_venue(account: VenueAccount) -> None:
    await account.hold("0.5")
    await account.send(account.limit("c1", "0.3"))
    await account.send(account.limit("c2", "0.2", FAR_ABOVE, Side.SELL))
    told = {asset: (balance.free, balance.locked) for asset, balance in (await account.broker.balances()).items()}
    wallets = account.exchange.wallets[ACCOUNT].items()
    assert told == {asset: (wallet.free, wallet.locked) for asset, wallet in wallets if wallet.free + wallet.locked}

"""Fees in every currency a venue takes them in, and the dust they leave."""

from __future__ import annotations

from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, PRICE, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.expect import refused
from tests.acceptance.venue_account import VenueAccount
from tests.venues.engine_types import QUOTE, RECEIVED, Fees
from tests.venues.local import ACCOUNT
from trading_core.domain.orders import OrderState, Side

D = Decimal
GROUP = "fees and dust"
MAKER, TAKER = D("0.001"), D("0.002")
ONE_OF_TWO = "it takes fees in the currencies of the market only"
IN_QUOTE = {
    "kraken": "it takes them in quote where nobody asks for base, and the desk does not",
    "coinbase": "its fees are always taken in quote",
}


@case(
    84,
    GROUP,
    "a buy's fee in base is told in base, and less arrives than was bought",
    fees=Fees(MAKER, TAKER, RECEIVED),
    without=IN_QUOTE,
)
async def in_base(account: Account) -> None:
    await account.send(account.market("c1", "0.5"))
    fills, base = await account.fills("c1"), account.symbol.partition("/")[0]
    assert {fill.fee.asset for fill in fills} == {base}
    paid = sum(fill.fee.amount for fill in fills)
    assert paid == D("0.5") * TAKER
    assert (await account.base()).total == D("0.5") - paid


@case(
    85,
    GROUP,
    "a buy's fee in quote is told in quote, and all that was bought arrives",
    fees=Fees(MAKER, TAKER, QUOTE),
)
async def in_quote(account: Account) -> None:
    before = await account.quote()
    await account.send(account.market("c1", "0.5"))
    fills = await account.fills("c1")
    paid = sum(fill.fee.amount for fill in fills)
    assert {fill.fee.asset for fill in fills} == {account.symbol.partition("/")[2]}
    assert paid == sum(fill.notional for fill in fills) * TAKER
    assert (await account.base()).total == D("0.5")
    assert before.total - (await account.quote()).total == sum(fill.notional for fill in fills) + paid


@case(86, GROUP, "a sale's fee is told in quote")
async def of_a_sale(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.market("c1", quantity, Side.SELL))
    fills = await account.fills("c1")
    assert {fill.fee.asset for fill in fills} == {account.symbol.partition("/")[2]}
    assert sum(fill.fee.amount for fill in fills) > 0


@line_case(
    87,
    GROUP,
    "a fee in a third coin is told in that coin, and the trade's own amounts arrive whole",
    fees=Fees(MAKER, TAKER, "BNB", coin_price=D(600)),
    paper=ONE_OF_TWO,
    without=IN_QUOTE,
)
async def in_a_third_coin(account: VenueAccount) -> None:
    account.exchange.deposit(ACCOUNT, "BNB", D(10))
    await account.send(account.market("c1", "0.5"))
    fills = await account.fills("c1")
    assert {fill.fee.asset for fill in fills} == {"BNB"}
    assert (await account.balance("BNB")).free == 10 - sum(fill.fee.amount for fill in fills) < 10
    assert (await account.base()).total == D("0.5")


@case(88, GROUP, "a maker pays the maker's fee and a taker the taker's", fees=Fees(MAKER, TAKER))
async def by_role(account: Account) -> None:
    await account.send(account.limit("rests", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    await account.send(account.market("takes", "0.5"))
    for key, rate in (("rests", MAKER), ("takes", TAKER)):
        for fill in await account.fills(key):
            of = fill.quantity if fill.fee.asset == account.symbol.partition("/")[0] else fill.notional
            assert fill.fee.amount == of * rate, f"{key}: {fill.fee}"


@case(89, GROUP, "a maker's rebate is told as a fee below zero and raises the balance", fees=Fees(D("-0.0001"), TAKER, QUOTE))
async def rebate(account: Account) -> None:
    before = (await account.quote()).total
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    (fill,) = await account.fills("c1")
    assert fill.fee.amount == D("0.5") * FAR_BELOW * D("-0.0001")
    assert (await account.quote()).total == before - fill.notional - fill.fee.amount


@case(
    90,
    GROUP,
    "what fees leave below a lot is told as dust, and the rest can be sold to the last lot",
    fees=Fees(MAKER, D("0.00123"), RECEIVED),
    without=IN_QUOTE,
)
async def dust(account: Account) -> None:
    instrument = await account.instrument()
    await account.send(account.market("c1", "0.01005"))
    held = (await account.base()).free
    lots = instrument.floor_quantity(held)
    assert (await account.send(account.market("c2", lots, Side.SELL))).state is OrderState.FILLED
    left = (await account.base()).free
    assert left == held - lots
    assert instrument.is_dust(left, PRICE)
    if left:
        await refused(account, account.market("c3", left, Side.SELL))


@case(
    91,
    GROUP,
    "more than is left after a fee in base cannot be sold",
    fees=Fees(MAKER, TAKER),
    without=IN_QUOTE,
)
async def not_the_whole(account: Account) -> None:
    await account.send(account.market("c1", "0.5"))
    await refused(account, account.market("c2", "0.5", Side.SELL))

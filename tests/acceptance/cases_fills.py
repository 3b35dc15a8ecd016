"""Partial fills, and the history of fills."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.acceptance.account import FAR_ABOVE, FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.venue_account import SIDES, VenueAccount
from tests.venues.engine import DEPTH
from trading_core.domain.clock import to_ms
from trading_core.domain.orders import OrderState, Side

D = Decimal
FILLS, HISTORY = "fills", "history"
NO_PAGES = "in this process: its history has no pages and no limit"


@case(19, FILLS, "a partial fill is told with its amount, and the rest stays open")
async def part(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.2"))
    assert await account.open_keys() == {"c1"}
    assert [(fill.quantity, fill.price) for fill in await account.fills("c1")] == [(D("0.2"), FAR_BELOW)]


@case(20, FILLS, "several fills of one order add up to it, one id each")
async def parts_add_up(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    for quantity in ("0.1", "0.15", "0.25"):
        await account.trade(Side.SELL, FAR_BELOW, D(quantity))
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))
    fills = await account.fills("c1")
    assert [fill.quantity for fill in fills] == [D("0.1"), D("0.15"), D("0.25")]
    assert len({fill.trade_id for fill in fills}) == 3


@case(21, FILLS, "what is left of a part-filled order locks no more than what is left")
async def part_locks_the_rest(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    locked = (await account.quote()).locked
    assert D("0.3") * FAR_BELOW <= locked < D("0.31") * FAR_BELOW


@case(22, FILLS, "cancelling a part-filled order keeps what was filled and frees the rest")
async def part_cancelled(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    report = await account.cancel("c1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.2"))
    assert sum(fill.quantity for fill in await account.fills("c1")) == D("0.2")
    assert (await account.quote()).locked == 0


@case(23, FILLS, "a sale is filled in part, too, and locks what is left")
async def part_of_a_sale(account: Account) -> None:
    await account.hold("0.5")
    await account.send(account.limit("c1", "0.4", FAR_ABOVE, Side.SELL))
    await account.trade(Side.BUY, FAR_ABOVE, D("0.1"))
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.1"))
    assert D("0.3") <= (await account.base()).locked < D("0.301")


@case(24, FILLS, "a fill is marked maker when it rested and taker when it took")
async def maker_and_taker(account: Account) -> None:
    await account.send(account.limit("rests", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    await account.send(account.market("takes", "0.1"))
    assert all(fill.is_maker for fill in await account.fills("rests"))
    assert not any(fill.is_maker for fill in await account.fills("takes"))


@line_case(
    25,
    FILLS,
    "an order over several price levels has a fill at each, and their average",
    paper="it fills from bars: there is no book of levels",
)
async def levels(account: VenueAccount) -> None:
    asks = [(D(50_010), D("0.1")), (D(50_020), D("0.2")), (D(50_030), D("0.2"))]
    account.exchange.quote(account.symbol, [(D(49_990), DEPTH)], asks)
    report = await account.send(account.limit("c1", "0.5", D(51_000)))
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))
    fills = await account.fills("c1")
    assert sorted((fill.price, fill.quantity) for fill in fills) == asks
    assert sum(fill.notional for fill in fills) / report.filled == D(50_022)


@case(26, HISTORY, "fills come oldest first, under the desk's ids")
async def oldest_first(account: Account) -> None:
    for key in ("c1", "c2", "c3"):
        await account.send(account.market(key, "0.1"))
    fills = await account.fills()
    assert [fill.client_order_id for fill in fills] == ["c1", "c2", "c3"]
    assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)


@case(27, HISTORY, "fills since an instant include that instant and nothing before it")
async def since_an_instant(account: Account) -> None:
    for key in ("c1", "c2"):
        await account.send(account.market(key, "0.1"))
    last = (await account.fills())[-1]
    assert last in await account.broker.fills(since=last.at)
    assert all(fill.at >= last.at for fill in await account.broker.fills(since=last.at))
    assert list(await account.broker.fills(since=last.at + timedelta(milliseconds=1))) == []


@case(28, HISTORY, "trade ids are unique over markets and sides")
async def unique_ids(account: Account) -> None:
    for number, symbol in enumerate((account.symbol, account.other_symbol)):
        await account.send(account.market(f"b{number}", "0.2", symbol=symbol))
        await account.send(account.market(f"s{number}", "0.1", Side.SELL, symbol=symbol))
    fills = await account.fills()
    assert len({fill.trade_id for fill in fills}) == len(fills) == 4
    assert {(fill.symbol, fill.side) for fill in fills} == {
        (symbol, side) for symbol in (account.symbol, account.other_symbol) for side in Side
    }


@case(29, HISTORY, "reading twice tells the same, and a second read books nothing new")
async def same_twice(account: Account) -> None:
    await account.send(account.market("c1", "0.1"))
    await account.send(account.limit("c2", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    first = await account.fills()
    await account.restart()
    assert await account.fills() == first


async def _trade_over(account: VenueAccount, instants_ms: list[int]) -> None:
    """One resting order that is filled once at each of these instants, by an older process than the one that then reads."""
    now = account.exchange.clock
    account.local.began_at = account.since = account.since - timedelta(hours=2)
    lot = D("0.0001")
    await account.broker.place(account.limit("c1", lot * len(instants_ms)))
    for instant in instants_ms:
        account.exchange.clock = lambda at=instant: at
        account.exchange.trade_at(account.symbol, SIDES[Side.SELL], FAR_BELOW, lot)
    account.exchange.clock = now
    await account.restart()


async def _all_told(account: VenueAccount, count: int) -> None:
    fills = await account.fills("c1")
    assert len(fills) == len({fill.trade_id for fill in fills}) == count, f"{len(fills)} of {count} fills were told"
    assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)


@line_case(30, HISTORY, "more fills than a page holds are all told, each once", paper=NO_PAGES)
async def more_than_a_page(account: VenueAccount) -> None:
    count = account.local.kind.profile.history.page + 5
    start = to_ms(account.clock.now()) - 3_600_000
    await _trade_over(account, [start + 2_500 * index for index in range(count)])
    await _all_told(account, count)


@line_case(31, HISTORY, "fills of one instant are all told, also where a page ends among them", paper=NO_PAGES)
async def one_instant_at_the_edge(account: VenueAccount) -> None:
    page = account.local.kind.profile.history.page
    start = to_ms(account.clock.now()) - 3_600_000
    instants = [start + 2_500 * index for index in range(page - 2)]
    await _trade_over(account, instants + [instants[-1] + 2_500] * 5 + [instants[-1] + 5_000] * 5)
    await _all_told(account, page + 8)

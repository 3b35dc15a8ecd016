"""The matching engine of the local venues: nothing is lost or made, and every order is served by price, then time."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venues.engine import Exchange
from tests.venues.engine_types import (
    BASE,
    QUOTE,
    RECEIVED,
    ZERO,
    Fees,
    Kind,
    Lifetime,
    Market,
    Rejected,
    Side,
    Status,
    Ticket,
    Why,
)

D = Decimal
BTC = "BTC/USDT"
ANN, BEN = "ann", "ben"


def new_exchange(fees: Fees | None = None, *, unique: bool = False) -> Exchange:
    ticks = itertools.count(1)
    market = Market("BTC", "USDT", tick=D(1), lot=D("0.1"), min_quantity=D("0.1"), min_notional=D(10))
    exchange = Exchange([market], lambda: next(ticks), fees=fees, ids_unique_for_ever=unique)
    for account in (ANN, BEN):
        exchange.deposit(account, "USDT", D(10_000))
        exchange.deposit(account, "BTC", D(50))
    exchange.deposit(ANN, "BNB", D("0.05"))
    exchange.move(BTC, D(100))
    return exchange


def ask(account: str, side: Side, quantity: str, limit: str | None = None, client_id: str = "x", **more: object) -> Ticket:
    kind = Kind.MARKET if limit is None else Kind.LIMIT
    asked = {"kind": kind, "quantity": D(quantity), "limit": limit and D(limit)} | more
    return Ticket(account, BTC, side, client_id=client_id, **asked)


def check_books(exchange: Exchange) -> None:
    """Every asset adds up, nobody but the house may owe, holds are those of open orders, and the book is not crossed."""
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for wallets in exchange.wallets.values():
        for asset, wallet in wallets.items():
            total[asset] += wallet.free + wallet.locked
            assert wallet.free >= 0
            assert wallet.locked >= 0
    assert dict(total) == {asset: exchange.deposited[asset] for asset in total}
    for account in (ANN, BEN):
        for asset, side in (("USDT", Side.BUY), ("BTC", Side.SELL)):
            held = sum((o.held for o in exchange.orders_of(account, only_open=True) if o.ticket.side is side), ZERO)
            assert exchange.wallets[account][asset].locked == held
        for order in exchange.orders_of(account):
            done = [e.quantity for e in exchange.executions[account] if e.order is order]
            assert order.filled == sum(done, ZERO)
            assert order.ticket.quantity is None or order.filled <= order.ticket.quantity
            assert order.status is Status.OPEN or order.held == 0
            if order.status is Status.OPEN and order.left is not None:
                price = order.ticket.limit or order.ticket.stop or ZERO
                gives = order.left * (price if order.ticket.side is Side.BUY else 1)
                assert gives <= order.held <= gives * (1 + exchange.fees.taker) + D("0.00000001")
    bids, asks = exchange.book(BTC, Side.BUY), exchange.book(BTC, Side.SELL)
    assert not (bids and asks and bids[0][0] >= asks[0][0])


prices = st.integers(92, 108).map(D)
quantities = st.integers(1, 60).map(lambda tenths: D(tenths) / 10)
fees = st.sampled_from([Fees(D("0.0004"), D("0.001"), where, D(500)) for where in (RECEIVED, QUOTE, BASE, "BNB")])
tickets = st.builds(
    Ticket,
    st.sampled_from([ANN, BEN]),
    st.just(BTC),
    st.sampled_from(Side),
    st.just(Kind.LIMIT),
    st.integers(0, 30).map(str),
    quantity=quantities,
    limit=prices,
    lifetime=st.sampled_from([Lifetime.GTC] * 4 + [Lifetime.IOC, Lifetime.FOK]),
    post_only=st.sampled_from([False, False, False, True]),
)
markets = st.builds(
    Ticket, st.just(ANN), st.just(BTC), st.sampled_from(Side), st.just(Kind.MARKET), st.just("m"), quantity=quantities
)
by_cost = st.builds(Ticket, st.just(BEN), st.just(BTC), st.sampled_from(Side), st.just(Kind.MARKET), st.just("c"), cost=prices)
stops = st.builds(
    Ticket,
    st.just(ANN),
    st.just(BTC),
    st.sampled_from(Side),
    st.sampled_from([Kind.STOP, Kind.TAKE_PROFIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT_LIMIT]),
    st.integers(0, 30).map(lambda number: f"s{number}"),
    quantity=quantities,
    limit=prices,
    stop=prices,
).map(lambda t: t if t.kind.has_limit else Ticket(t.account, t.symbol, t.side, t.kind, t.client_id, t.quantity, stop=t.stop))
cancels = st.tuples(st.sampled_from([ANN, BEN]), st.integers(1, 60))
steps = st.lists(st.one_of(tickets, tickets, tickets, markets, by_cost, stops, prices, cancels), min_size=25, max_size=50)


@settings(max_examples=80, deadline=None)
@given(fees=fees, steps=steps)
def test_whatever_happens_everything_adds_up(fees: Fees, steps: list[Ticket | Decimal | tuple[str, int]]) -> None:
    exchange = new_exchange(fees)
    for step in steps:
        try:
            match step:
                case Ticket():
                    exchange.place(step)
                case Decimal():
                    exchange.move(BTC, step, depth=D(3))
                case (account, number):
                    exchange.cancel(account, BTC, number)
        except Rejected:
            pass
        check_books(exchange)


def test_price_goes_before_time_and_time_before_size() -> None:
    exchange = new_exchange()
    exchange.quote(BTC, [], [])
    late_and_dear = exchange.place(ask(ANN, Side.SELL, "1", "103", "a"))
    first = exchange.place(ask(ANN, Side.SELL, "1", "102", "b"))
    second = exchange.place(ask(ANN, Side.SELL, "5", "102", "c"))
    exchange.place(ask(BEN, Side.BUY, "1.5", "110", "d"))
    assert (first.filled, second.filled, late_and_dear.filled) == (D(1), D("0.5"), ZERO)
    assert [done.price for done in exchange.executions[BEN]] == [D(102), D(102)]  # the resting order's price


def test_an_order_that_may_not_rest_ends_with_what_it_got() -> None:
    exchange = new_exchange()
    exchange.quote(BTC, [], [(D(101), D(2))])
    assert exchange.place(ask(ANN, Side.BUY, "3", "101", lifetime=Lifetime.FOK)).filled == 0
    rest = exchange.place(ask(ANN, Side.BUY, "3", "101", lifetime=Lifetime.IOC))
    assert (rest.status, rest.filled) == (Status.EXPIRED, D(2))
    assert exchange.place(ask(ANN, Side.BUY, "3")).status is Status.EXPIRED  # nothing left to buy


def test_a_market_order_by_cost_buys_whole_lots() -> None:
    exchange = new_exchange()
    order = exchange.place(Ticket(ANN, BTC, Side.BUY, Kind.MARKET, "c", cost=D(250)))
    assert (order.filled, order.spent, order.status) == (D("2.4"), D("242.4"), Status.FILLED)


def test_an_order_never_trades_with_its_own_account() -> None:
    exchange = new_exchange()
    exchange.quote(BTC, [], [])
    resting = exchange.place(ask(ANN, Side.SELL, "1", "102", "a"))
    exchange.place(ask(ANN, Side.BUY, "1", "102", "b"))
    assert (resting.status, exchange.executions[ANN]) == (Status.EXPIRED, [])


def test_a_stop_sleeps_until_the_last_price_reaches_it() -> None:
    exchange = new_exchange()
    stop = exchange.place(ask(ANN, Side.SELL, "2", kind=Kind.STOP, stop=D(95)))
    exchange.move(BTC, D(96))
    assert (stop.waiting, stop.held) == (True, D(2))
    exchange.move(BTC, D(95))
    assert (stop.status, stop.spent) == (Status.FILLED, D(188))


@pytest.mark.parametrize(("taken_in", "bought"), [(RECEIVED, D("83.3")), (QUOTE, D("83.2"))])
def test_a_buy_stop_that_gaps_buys_what_there_is_money_for(taken_in: str, bought: Decimal) -> None:
    exchange = new_exchange(Fees(taken_in=taken_in))
    stop = exchange.place(ask(ANN, Side.BUY, "90", kind=Kind.STOP, stop=D(105)))
    exchange.move(BTC, D(119))
    assert (stop.status, stop.filled) == (Status.EXPIRED, bought)
    check_books(exchange)


def test_a_fee_in_quote_is_held_from_the_start() -> None:
    exchange = new_exchange(Fees(D(0), D("0.01"), QUOTE))
    assert exchange.place(ask(ANN, Side.BUY, "10", "90")).held == D(909)
    with pytest.raises(Rejected, match="free balance"):
        exchange.place(ask(BEN, Side.BUY, "100", "100"))  # the cost is there, the fee is not


@pytest.mark.parametrize(
    ("unique", "while_open", "afterwards"), [(True, Why.DUPLICATE, Why.DUPLICATE), (False, Why.DUPLICATE, None)]
)
def test_client_ids(unique: bool, while_open: Why, afterwards: Why | None) -> None:
    exchange = new_exchange(unique=unique)
    order = exchange.place(ask(ANN, Side.BUY, "1", "90"))

    def again() -> Why | None:
        try:
            exchange.place(ask(ANN, Side.BUY, "1", "90"))
        except Rejected as error:
            return error.why
        return None

    assert again() is while_open
    exchange.place(ask(BEN, Side.BUY, "1", "90"))  # another account's ids are its own
    exchange.cancel(ANN, BTC, order.number)
    assert again() is afterwards

"""The exchange behind the local venues: price-time priority, balances, fees, stops and client order ids, in exact decimals.

    exchange = Exchange([Market("BTC", "USDT")], clock)
    exchange.deposit("desk", "USDT", Decimal(10_000))
    exchange.move("BTC/USDT", Decimal(50_000))      # the house quotes one tick around it
    exchange.place(Ticket("desk", "BTC/USDT", Side.BUY, Kind.MARKET, "id-1", quantity=Decimal("0.1")))

The market is made by one account, the house, whose money never runs out; what it gives and takes is booked like everybody
else's, so that every asset adds up over all wallets. Stops trigger on the last price. An order that would meet one of its own
account ends the resting one. The engine has neither a clock nor chance of its own: the same calls give the same trades.

Who streams to accounts calls `listen`, who streams market data calls `watch`; both are told under the exchange's lock.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from tests.venues.engine_news import Listener, News, Watcher
from tests.venues.engine_types import (
    BASE,
    QUOTE,
    RECEIVED,
    ZERO,
    Execution,
    Fees,
    Kind,
    Lifetime,
    Market,
    Print,
    Rejected,
    Side,
    Status,
    Ticket,
    VenueOrder,
    Wallet,
    Why,
)

HOUSE, FEES = "house", "fees"
SATOSHI = Decimal("0.00000001")
ENDLESS = Decimal(10) ** 15
DEPTH = Decimal(1000)
Levels = Iterable[tuple[Decimal, Decimal]]


class Exchange:
    """Markets, accounts and orders of one venue.

    Args:
        markets: what trades.
        clock: the instant in milliseconds since 1970 UTC.
        fees: of every account but the house.
        ids_unique_for_ever: whether a client order id may be used once, or again when its order is no longer open.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        clock: Callable[[], int],
        *,
        fees: Fees | None = None,
        ids_unique_for_ever: bool = False,
    ) -> None:
        self.markets = {market.symbol: market for market in markets}
        self.clock = clock
        self.fees = fees or Fees()
        self.lock = threading.RLock()
        self.orders: dict[int, VenueOrder] = {}
        self.wallets: dict[str, defaultdict[str, Wallet]] = defaultdict(lambda: defaultdict(Wallet))
        self.deposited: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.executions: defaultdict[str, list[Execution]] = defaultdict(list)
        self.tape: dict[str, list[Print]] = {symbol: [] for symbol in self.markets}
        self._unique_for_ever = ids_unique_for_ever
        self._by_client_id: defaultdict[tuple[str, str], list[VenueOrder]] = defaultdict(list)
        self._books: dict[tuple[str, Side], list[VenueOrder]] = {(s, side): [] for s in self.markets for side in Side}
        self._stops: dict[str, list[VenueOrder]] = {symbol: [] for symbol in self.markets}
        self._trades = 0
        self._news = News(self.lock)
        for asset in {asset for market in self.markets.values() for asset in (market.base, market.quote)}:
            self.deposit(HOUSE, asset, ENDLESS)

    # Who is told

    def listen(self, callback: Listener) -> None:
        """Tell it each order that changed (taken, triggered, filled in part, ended) and each execution, at that very moment.

        Orders and executions of every account, the house's too. An execution comes before the change it makes to its order, and
        the order already shows both: what has filled, and whether that ended it.
        """
        self._news.listen(callback)

    def watch(self, callback: Watcher) -> None:
        """Tell it a market's symbol and what was printed there, once after each act that changed its book or its tape."""
        self._news.watch(callback)

    # The world around the account

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        with self.lock:
            self.wallets[account][asset].free += amount
            self.deposited[asset] += amount

    def move(self, symbol: str, price: Decimal, depth: Decimal = DEPTH) -> None:
        """Set the price: the house quotes `depth` one tick to either side, filling what rests beyond, and stops trigger."""
        tick = self.markets[symbol].tick
        with self._news.act():
            self.quote(symbol, [(price - tick, depth)], [(price + tick, depth)])
            self._print(symbol, price, ZERO, Side.BUY)
            self._trigger(symbol)

    def quote(self, symbol: str, bids: Levels, asks: Levels) -> None:
        """Replace the house's quotes by these (price, quantity) levels."""
        with self._news.act():
            for order in [o for side in Side for o in self._books[symbol, side] if o.ticket.account == HOUSE]:
                self._end(order, Status.CANCELLED)
            for side, levels in ((Side.SELL, asks), (Side.BUY, bids)):
                for price, quantity in levels:
                    self._admit(Ticket(HOUSE, symbol, side, Kind.LIMIT, "", quantity, limit=price))
            self._trigger(symbol)

    def trade_at(self, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> None:
        """The house takes up to `quantity` from what rests at `price` or better; its own quotes in the way are withdrawn."""
        ticket = Ticket(HOUSE, symbol, side, Kind.LIMIT, "", quantity, limit=price, lifetime=Lifetime.IOC)
        with self._news.act():
            self._admit(ticket)
            self._trigger(symbol)

    # What an account can do

    def place(self, ticket: Ticket) -> VenueOrder:
        """Take an order.

        Raises:
            Rejected: a filter, the balance, the client order id or the book is against it; nothing was done.
        """
        with self._news.act():
            self._check(ticket)
            order = self._admit(ticket)
            self._trigger(ticket.symbol)
            return order

    def cancel(self, account: str, symbol: str, number: int | None = None, client_id: str | None = None) -> VenueOrder:
        """End an open order.

        Raises:
            Rejected: the account has no open order under this number or id.
        """
        with self._news.act():
            order = self.find(account, symbol, number, client_id)
            if order is None or order.status is not Status.OPEN:
                raise Rejected(Why.UNKNOWN_ORDER)
            self._end(order, Status.CANCELLED)
            return order

    def find(self, account: str, symbol: str, number: int | None = None, client_id: str | None = None) -> VenueOrder | None:
        """The account's order under the venue's number or, the youngest first, under its own id."""
        if number is not None:
            order = self.orders.get(number)
        else:
            order = next(reversed(self._by_client_id.get((account, client_id or ""), [])), None)
        return order if order and (order.ticket.account, order.ticket.symbol) == (account, symbol) else None

    def orders_of(self, account: str, symbol: str | None = None, *, only_open: bool = False) -> list[VenueOrder]:
        """Oldest first."""
        return [
            order
            for order in self.orders.values()
            if order.ticket.account == account
            and symbol in (None, order.ticket.symbol)
            and (order.status is Status.OPEN or not only_open)
        ]

    def book(self, symbol: str, side: Side) -> list[tuple[Decimal, Decimal]]:
        """(price, quantity) levels, best first."""
        levels: dict[Decimal, Decimal] = {}
        for order in self._books[symbol, side]:
            assert order.ticket.limit is not None
            levels[order.ticket.limit] = levels.get(order.ticket.limit, ZERO) + (order.left or ZERO)
        return list(levels.items())

    def last(self, symbol: str) -> Decimal | None:
        return self.tape[symbol][-1].price if self.tape[symbol] else None

    # Admission

    def _check(self, ticket: Ticket) -> None:
        market = self.markets.get(ticket.symbol)
        if market is None:
            raise Rejected(Why.SYMBOL)
        market.check(ticket, self.last(ticket.symbol))
        earlier = self._by_client_id.get((ticket.account, ticket.client_id), [])
        if any(self._unique_for_ever or order.status is Status.OPEN for order in earlier):
            raise Rejected(Why.DUPLICATE)
        if ticket.kind.has_stop and self._triggers(ticket):
            raise Rejected(Why.WOULD_TRIGGER)
        if ticket.post_only and next(self._reach(ticket, ticket.quantity, None), None):
            raise Rejected(Why.WOULD_TAKE)

    def _admit(self, ticket: Ticket) -> VenueOrder:
        now = self.clock()
        order = VenueOrder(len(self.orders) + 1, ticket, now, now, waiting=ticket.kind.has_stop)
        wallet, hold = self._wallet(order), self._hold(order)
        if hold > wallet.free:
            raise Rejected(Why.FUNDS)
        self._set_hold(order, hold)
        self.orders[order.number] = order
        self._by_client_id[ticket.account, ticket.client_id].append(order)
        if order.waiting:
            self._stops[ticket.symbol].append(order)
        self._news.changed(order)
        if not order.waiting:
            self._match(order)
        return order

    def _hold(self, order: VenueOrder) -> Decimal:
        """What must be locked for the rest of an order: what it gives away, and its fee when that is taken from the same."""
        ticket = order.ticket
        price = ticket.limit or ticket.stop
        if price is None:
            reached = [(maker.ticket.limit or ZERO, quantity) for maker, quantity in self._reach(ticket, order.left, ticket.cost)]
            gives = sum((p * q if ticket.side is Side.BUY else q for p, q in reached), ZERO)
        else:
            gives = (order.left or ZERO) * (price if ticket.side is Side.BUY else 1)
        extra = self.fees.taker if self.fees.taken_in == (QUOTE if ticket.side is Side.BUY else BASE) else ZERO
        return (gives * (1 + extra)).quantize(SATOSHI, ROUND_UP) if ticket.account != HOUSE else gives

    # Matching

    def _reach(self, ticket: Ticket, quantity: Decimal | None, cost: Decimal | None) -> Iterator[tuple[VenueOrder, Decimal]]:
        """The resting orders an order would meet, and how much of each; zero for one of its own account, which is ended."""
        lot = self.markets[ticket.symbol].lot
        limit = ticket.limit
        for maker in self._books[ticket.symbol, ticket.side.other]:
            if quantity == 0:
                return
            price, offered = maker.ticket.limit, maker.left
            assert price is not None
            assert offered is not None
            if limit is not None and (price > limit if ticket.side is Side.BUY else price < limit):
                return
            if maker.ticket.account == ticket.account:
                yield maker, ZERO
                continue
            wanted = (
                [offered]
                + ([quantity] if quantity is not None else [])
                + ([cost / price // lot * lot] if cost is not None else [])
            )
            taken = min(wanted)
            if taken <= 0:
                return
            yield maker, taken
            quantity = quantity - taken if quantity is not None else None
            cost = cost - taken * price if cost is not None else None

    def _match(self, order: VenueOrder) -> None:
        ticket = order.ticket
        cost = ticket.cost
        if ticket.kind in (Kind.STOP, Kind.TAKE_PROFIT) and ticket.side is Side.BUY:
            # A buy stop was held at its trigger; at a worse price it buys what the account can pay for.
            self._set_hold(order, order.held + self._wallet(order).free)
            extra = self.fees.taker if self.fees.taken_in == QUOTE else ZERO
            cost = order.held / (1 + extra)
        reached = list(self._reach(ticket, order.left, cost))
        if ticket.lifetime is Lifetime.FOK and sum(quantity for _, quantity in reached) != order.left:
            self._end(order, Status.EXPIRED)
            return
        last = max((index for index, (_, quantity) in enumerate(reached) if quantity), default=-1)
        for index, (maker, quantity) in enumerate(reached):
            if quantity:
                self._trade(maker, order, quantity, spends_all=ticket.cost is not None and index == last)
            else:
                self._end(maker, Status.EXPIRED)
        if order.status is not Status.OPEN:
            return
        if ticket.kind.has_limit and ticket.lifetime is Lifetime.GTC:
            self._rest(order)
        else:
            self._end(order, Status.EXPIRED)

    def _rest(self, order: VenueOrder) -> None:
        sign = -1 if order.ticket.side is Side.BUY else 1
        book = self._books[order.ticket.symbol, order.ticket.side]
        book.append(order)  # a stable sort keeps the older of two orders at one price in front
        book.sort(key=lambda resting: sign * (resting.ticket.limit or ZERO))
        self._set_hold(order, self._hold(order))

    def _trade(self, maker: VenueOrder, taker: VenueOrder, quantity: Decimal, *, spends_all: bool) -> None:
        """`spends_all`: the last trade of a taker by cost."""
        price = maker.ticket.limit
        assert price is not None
        self._trades += 1
        self._print(taker.ticket.symbol, price, quantity, taker.ticket.side)
        for order, is_maker in ((maker, True), (taker, False)):
            done = self._settle(order, price, quantity, is_maker=is_maker)
            ended = order.left == 0 or (spends_all and not is_maker)
            if ended:
                self._close(order, Status.FILLED)
            elif is_maker:
                self._set_hold(order, self._hold(order))
            self._news.changed(done)
            self._news.changed(order)

    def _settle(self, order: VenueOrder, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Execution:
        market, wallets = self.markets[order.ticket.symbol], self.wallets[order.ticket.account]
        given, received = (market.quote, market.base), (price * quantity, quantity)
        if order.ticket.side is Side.SELL:
            given, received = given[::-1], received[::-1]
        wallets[given[0]].locked -= received[0]
        order.held -= received[0]
        wallets[given[1]].free += received[1]
        fee, asset = self._fee(order, market, price * quantity, quantity, is_maker=is_maker)
        if asset == given[0]:
            wallets[asset].locked -= fee
            order.held -= fee
        else:
            wallets[asset].free -= fee
        self.wallets[FEES][asset].free += fee
        order.filled += quantity
        order.spent += price * quantity
        order.updated_ms = self.clock()
        done = Execution(self._trades, order, price, quantity, fee, asset, is_maker, order.updated_ms)
        self.executions[order.ticket.account].append(done)
        return done

    def _fee(self, order: VenueOrder, market: Market, cost: Decimal, quantity: Decimal, *, is_maker: bool) -> tuple[Decimal, str]:
        """Rounded down to eight digits, so that a hold that was rounded up always covers it."""
        received = market.base if order.ticket.side is Side.BUY else market.quote
        if order.ticket.account == HOUSE:
            return ZERO, received
        rate = self.fees.maker if is_maker else self.fees.taker
        asset = {RECEIVED: received, QUOTE: market.quote, BASE: market.base}.get(self.fees.taken_in, self.fees.taken_in)
        if asset not in (market.base, market.quote):
            fee = (cost * rate / self.fees.coin_price).quantize(SATOSHI, ROUND_DOWN)
            if fee <= self.wallets[order.ticket.account][asset].free:
                return fee, asset
            asset = received
        return (rate * (quantity if asset == market.base else cost)).quantize(SATOSHI, ROUND_DOWN), asset

    # Ends, holds, triggers

    def _end(self, order: VenueOrder, status: Status) -> None:
        self._close(order, status)
        self._news.changed(order)

    def _close(self, order: VenueOrder, status: Status) -> None:
        order.status, order.waiting, order.updated_ms = status, False, self.clock()
        self._set_hold(order, ZERO)
        for queue in (self._books[order.ticket.symbol, order.ticket.side], self._stops[order.ticket.symbol]):
            if order in queue:
                queue.remove(order)

    def _wallet(self, order: VenueOrder) -> Wallet:
        market = self.markets[order.ticket.symbol]
        return self.wallets[order.ticket.account][market.quote if order.ticket.side is Side.BUY else market.base]

    def _set_hold(self, order: VenueOrder, amount: Decimal) -> None:
        wallet, change = self._wallet(order), amount - order.held
        wallet.free -= change
        wallet.locked += change
        order.held = amount

    def _print(self, symbol: str, price: Decimal, quantity: Decimal, taker: Side) -> None:
        done = Print(self._trades, self.clock(), price, quantity, taker)
        self.tape[symbol].append(done)
        self._news.printed(symbol, done)

    def _triggers(self, ticket: Ticket) -> bool:
        last, stop = self.last(ticket.symbol), ticket.stop
        if last is None or stop is None:
            return False
        rising = (ticket.side is Side.BUY) == (ticket.kind in (Kind.STOP, Kind.STOP_LIMIT))
        return last >= stop if rising else last <= stop

    def _trigger(self, symbol: str) -> None:
        while order := next((waiting for waiting in self._stops[symbol] if self._triggers(waiting.ticket)), None):
            self._stops[symbol].remove(order)
            order.waiting = False
            self._news.changed(order)
            self._match(order)

"""One adapter for every venue that ccxt speaks to; what differs between them is in `profiles.py`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading_core.brokers.base import Balance, OrderReport, Update
from trading_core.brokers.permissions import KeyPermissions
from trading_core.brokers.venues.asking import Asking
from trading_core.brokers.venues.client import Exchange, Row
from trading_core.brokers.venues.client_ids import ClientIds
from trading_core.brokers.venues.errors import reading, writing
from trading_core.brokers.venues.forms import Form, form_of, misfits, passable_form, says_the_same
from trading_core.brokers.venues.history import by_both_clocks, read_all
from trading_core.brokers.venues.lookup import Finder
from trading_core.brokers.venues.probe import clock_skew_ms, key_permissions
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.brokers.venues.stream import PrivateStream
from trading_core.brokers.venues.words import balances_of, client_id_of, fill_of, instrument_of, number, report_of
from trading_core.domain.clock import Clock, utc
from trading_core.domain.errors import AmbiguousOutcome, BrokerError, BrokerUnavailable, InvalidInput, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import plain
from trading_core.domain.orders import Fill, OrderRequest, Side


class CcxtBroker:
    """A `Broker` over one account at one venue.

    It loads the venue's markets and takes the clock's skew off when it is first asked. Reads are tried three times; writes
    are sent once, whatever happens.

    Args:
        profile: the venue.
        exchange: from `open_client`; it becomes the broker's to close.
        symbols: the markets the account trades.
        clock: for what the venue stamps no time on, and to wait on between tries.
        history_from: nothing before it is read: when the account began to be the desk's.
        jitter: decides how long to wait between two tries.
        is_paper: the money is not real: a venue's sandbox.
    """

    def __init__(
        self,
        profile: VenueProfile,
        exchange: Exchange,
        symbols: Sequence[str],
        *,
        clock: Clock,
        history_from: datetime,
        jitter: random.Random,
        is_paper: bool,
    ) -> None:
        self.venue = profile.venue
        self.is_paper = is_paper
        self._profile = profile
        self._exchange = exchange
        self._symbols = tuple(dict.fromkeys(symbols))
        self._clock = clock
        self._history_from = utc(history_from)
        self._ask = Asking(profile, exchange, clock, jitter)
        self._ids = ClientIds(profile.ids)
        self._finder = Finder(profile, exchange, self._ask)
        self._instruments: Mapping[str, Instrument] = {}
        self._loading = asyncio.Lock()
        self._stream = PrivateStream(
            profile,
            exchange,
            self._finder,
            self._ids,
            load=self._load,
            clock=clock,
            jitter=jitter,
            began_at=self._history_from,
        )

    async def open(self) -> None:
        """Load what every other call needs.

        Raises:
            BrokerUnavailable: the venue is out of reach, or does not list one of the symbols.
        """
        await self._load()

    async def instruments(self) -> Mapping[str, Instrument]:
        await self._load()
        return dict(self._instruments)

    async def balances(self) -> Mapping[str, Balance]:
        await self._load()
        with reading(self._profile.title, "the balances"):
            return balances_of(await self._ask(self._exchange.fetch_balance))

    async def place(self, request: OrderRequest) -> OrderReport:
        key = request.client_order_id
        instrument = await self._tradable(request)
        form = await self._form(request, instrument)
        params = dict(form.params)
        at_venue = self._ids.at_venue(key)
        if self._profile.repeats_answered and self._finder.venue_id(at_venue) is not None:
            raise self._refused(key, "the venue has an order under this id")
        params[self._profile.id_param] = at_venue
        if form.is_stop and self._profile.stop_id_param is not None:
            params[self._profile.stop_id_param] = at_venue
        self._finder.expect(at_venue, is_stop=form.is_stop)
        with self._writing(f"order {key!r}"):
            row = await self._exchange.create_order(
                request.symbol, form.type, request.side.value, form.amount, form.price, params
            )
            if row.get("status") == "rejected" and not number(row.get("filled")):
                raise self._refused(key, f"{self._profile.title} rejected it: {row.get('info')!r}")
            report = report_of(row, client_order_id=key, symbol=request.symbol, now=self._clock.now(), just_taken=True)
        self._finder.met(at_venue, report.venue_order_id)
        if self._profile.repeats_answered:
            report = await self._read_back(report, request, form)
        return replace(report, symbol=request.symbol)

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        at_venue = self._ids.at_venue(client_order_id)
        with _as_ambiguous(client_order_id, "was not asked for"):
            await self._load()
            if self._finder.venue_id(at_venue) is None:
                found = await self.order(client_order_id, symbol)
                if found is None:
                    raise self._not_here(client_order_id, symbol)
                if found.state.is_final:
                    return found
        refused: OrderRefused | None = None
        was_stop = self._finder.is_stop(at_venue)
        try:
            with self._writing(f"the cancel of order {client_order_id!r}"):
                await self._finder.cancel(at_venue, symbol)
        except OrderRefused as error:
            refused = error  # mostly because it has ended already: what it is now decides
        with _as_ambiguous(client_order_id, "may have been taken"):
            after = await self.order(client_order_id, symbol)
        if after is None:
            raise self._not_here(client_order_id, symbol)
        if refused is not None and not after.state.is_final:
            self._finder.rethink(at_venue, was_stop=was_stop)
            raise AmbiguousOutcome(
                f"{refused.what}; the order is still live", not_done="It was not cancelled", next_step="Ask for it again"
            ) from refused
        return after

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        await self._load()
        at_venue = self._ids.at_venue(client_order_id)
        with reading(self._profile.title, f"order {client_order_id!r}"):
            since, until = by_both_clocks(self._history_from, self._clock.now(), self._ours_ahead_ms)
            row = await self._finder.find(at_venue, symbol, since=since, until=until)
            if row is None:
                return None
            return report_of(row, client_order_id=client_order_id, symbol=symbol, now=self._clock.now())

    async def open_orders(self) -> Sequence[OrderReport]:
        await self._load()
        markets: Sequence[str | None] = self._symbols if self._profile.open_by_symbol else (None,)
        with reading(self._profile.title, "the open orders"):
            return [self._report(row) for symbol in markets for row in await self._finder.open_rows(symbol)]

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        await self._load()
        begin = max(utc(since), self._history_from)
        _, now = by_both_clocks(begin, self._clock.now(), self._ours_ahead_ms)
        markets: Sequence[str | None] = self._symbols if self._profile.history.needs_symbol else (None,)
        with reading(self._profile.title, "the fills"):
            rows = [row for symbol in markets for row in await self._trades(symbol, begin, now)]
            fills = [await self._fill(row) for row in rows]
        return sorted((fill for fill in fills if fill.at >= begin), key=lambda fill: (fill.at, fill.trade_id))

    def updates(self) -> AsyncIterator[Update]:
        return self._stream.updates()

    async def permissions(self) -> KeyPermissions:
        """What the account's key may do; all of it None where the venue, or its test network, does not tell.

        Raises:
            BrokerUnavailable: the venue is out of reach, does not accept the key, or answers in another form.
        """
        await self._load()
        return await key_permissions(self._profile, self._exchange, self._ask)

    async def clock_skew_ms(self) -> int | None:
        """By how many milliseconds, at least, this machine's clock is ahead of the venue's; below zero when it is behind.

        None where the venue has no time.

        Raises:
            BrokerUnavailable: the venue is out of reach.
        """
        return await clock_skew_ms(self._profile, self._exchange, self._clock)

    async def close(self) -> None:
        """Close the connections to the venue."""
        await self._exchange.close()

    @property
    def _ours_ahead_ms(self) -> int:
        measured = self._exchange.options.get("timeDifference")
        return measured if isinstance(measured, int) else 0

    async def _trades(self, symbol: str | None, since: datetime, until: datetime) -> list[Mapping[str, object]]:
        async def ask(first: int, last: int, limit: int, more: Mapping[str, object]) -> Sequence[Row]:
            return await self._ask(lambda: self._exchange.fetch_my_trades(symbol, first, limit, {"until": last, **more}))

        return await read_all(ask, self._profile.history, since=since, until=until)

    async def _fill(self, row: Mapping[str, object]) -> Fill:
        """A fill under the desk's id. Binance, Coinbase and Kraken tell only the venue's order id with a trade."""
        venue_order_id, symbol = str(row.get("order") or ""), str(row["symbol"])
        at_venue = self._finder.client_id(venue_order_id) or client_id_of(row)
        if not at_venue and self._profile.trades_name_orders:
            at_venue = venue_order_id  # somebody else's; the venue may know it no more
        if not at_venue:
            order = await self._finder.fetch(venue_order_id, symbol)
            at_venue = client_id_of(order) or venue_order_id
            self._finder.met(at_venue, venue_order_id)
        return fill_of(row, client_order_id=self._ids.at_desk(at_venue))

    def _report(self, row: Mapping[str, object]) -> OrderReport:
        """An order nobody asked for by its id. One without a client id is somebody else's, and goes by the venue's."""
        at_venue = client_id_of(row) or str(row.get("id") or "")
        self._finder.met(at_venue, str(row.get("id") or ""))
        return report_of(
            row, client_order_id=self._ids.at_desk(at_venue), symbol=str(row.get("symbol") or ""), now=self._clock.now()
        )

    async def _read_back(self, taken: OrderReport, request: OrderRequest, form: Form) -> OrderReport:
        """The order that the venue says it took, unless it is one that had the id before.

        It is asked once. An order that cannot be read stays taken: one that was there before could have been.
        """
        key = request.client_order_id
        try:
            row = await self._exchange.fetch_order(taken.venue_order_id, request.symbol, dict(self._profile.fetch_params))
            is_same = says_the_same(row, request, form)
            report = report_of(row, client_order_id=key, symbol=request.symbol, now=self._clock.now())
        except Exception:
            return taken
        if not is_same:
            raise self._refused(key, f"the venue has another order under this id, {taken.venue_order_id!r}")
        return report

    async def _form(self, request: OrderRequest, instrument: Instrument) -> Form:
        """How the order is sent. A venue without market buys needs a price for it; without one, nothing is sent."""
        form = form_of(request, instrument, self._profile)
        if form is not None:
            if self._profile.infers_stop_direction and request.stop_price is not None:
                await self._check_not_passed(request, request.stop_price)
            return form
        try:
            with reading(self._profile.title, f"the price of {request.symbol}"):
                ticker = await self._ask(lambda: self._exchange.fetch_ticker(request.symbol))
                ask = number(ticker.get("ask"), "ask")
                if ask is None or ask <= 0:
                    raise InvalidInput(f"the ask of {request.symbol} is {ask}")
        except BrokerError as error:
            raise self._refused(request.client_order_id, f"no price to buy at: {error.what}") from error
        return passable_form(request, instrument, self._profile, ask)

    async def _check_not_passed(self, request: OrderRequest, stop: Decimal) -> None:
        """Refuse a stop whose price the market has passed, where the venue would not: it would do the opposite."""
        title = self._profile.title
        try:
            with reading(title, f"the price of {request.symbol}"):
                last = number((await self._ask(lambda: self._exchange.fetch_ticker(request.symbol))).get("last"), "last")
                if last is None or last <= 0:
                    raise InvalidInput(f"the last price of {request.symbol} is {last}")
        except BrokerError as error:
            raise self._refused(request.client_order_id, f"no price to judge the stop by: {error.what}") from error
        if stop >= last if request.side is Side.SELL else stop <= last:
            why = f"a stop at {plain(stop)} would trigger at once, as the last price is {plain(last)}; {title} would let it wait"
            raise self._refused(request.client_order_id, why)

    async def _tradable(self, request: OrderRequest) -> Instrument:
        """The order's market. ccxt would silently cut a quantity or price to what the venue takes, so that is checked here."""
        try:
            await self._load()
        except BrokerError as error:
            raise self._refused(request.client_order_id, f"the venue's filters are not known: {error.what}") from error
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            raise self._refused(request.client_order_id, f"{request.symbol!r} is not among the markets of this account")
        problems = misfits(request, instrument)
        if problems:
            raise self._refused(request.client_order_id, "; ".join(problems))
        return instrument

    def _writing(self, what: str) -> AbstractContextManager[None]:
        profile = self._profile
        return writing(profile.title, what, profile.refusals, refuses_with_5xx=profile.refuses_with_5xx, taken=profile.taken)

    def _refused(self, client_order_id: str, why: str) -> OrderRefused:
        return OrderRefused(
            f"order {client_order_id!r} was refused: {why}",
            not_done="It does not work at the venue",
            next_step="Mend the order and send it under a new id",
        )

    def _not_here(self, client_order_id: str, symbol: str) -> OrderRefused:
        return OrderRefused(
            f"{self._profile.title} has no order {client_order_id!r} in {symbol}", not_done="Nothing was cancelled"
        )

    async def _load(self) -> None:
        # ccxt shares one task between everybody who waits: without the lock, one cancelled reader would cancel them all.
        async with self._loading:
            if self._instruments:
                return
            with reading(self._profile.title, "its markets"):
                if self._profile.measures_clock:
                    await self._ask(self._exchange.load_time_difference)
                await self._ask(self._exchange.load_markets)
                self._drop_hidden_markets()
                markets = self._exchange.markets
                missing = [symbol for symbol in self._symbols if not markets.get(symbol, {}).get("spot")]
                if missing:
                    raise InvalidInput(f"it has no spot market {', '.join(missing)}")
                mode = self._exchange.precisionMode
                self._instruments = {symbol: instrument_of(self._profile, markets[symbol], mode) for symbol in self._symbols}

    def _drop_hidden_markets(self) -> None:
        suffix = self._profile.hidden_markets
        if suffix:
            listed = (market for same_id in self._exchange.markets_by_id.values() for market in same_id)
            self._exchange.set_markets([market for market in listed if not str(market["id"]).endswith(suffix)])


@contextmanager
def _as_ambiguous(client_order_id: str, what: str) -> Iterator[None]:
    """A read that failed in the middle of a cancel leaves the cancel's outcome open."""
    try:
        yield
    except BrokerUnavailable as error:
        raise AmbiguousOutcome(
            f"the cancel of order {client_order_id!r} {what}: {error.what}",
            not_done="What the order is now is not known",
            next_step="The desk asks the venue for it by its id",
        ) from error

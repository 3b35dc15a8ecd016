"""The private streams of a venue, through ccxt.pro: one iterator over executions and orders that mends itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime

from trading_core.brokers.base import Missed, Update
from trading_core.brokers.venues.client import Exchange, Row
from trading_core.brokers.venues.client_ids import ClientIds
from trading_core.brokers.venues.errors import brief, is_clock_skew, is_refusal, underlying
from trading_core.brokers.venues.lookup import Finder
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.brokers.venues.sockets import Sockets
from trading_core.brokers.venues.streams import Told, matches
from trading_core.brokers.venues.words import client_id_of, fill_of, report_of
from trading_core.domain.clock import Clock
from trading_core.domain.errors import BrokerUnavailable

_FIRST_WAIT, _LONGEST_WAIT, _DOUBLINGS = 0.5, 60.0, 7  # seconds before it is opened anew, at most
_OPENING_SECONDS = 10.0  # for the venue to confirm a subscription
_LOOK_SECONDS = 1.0  # between two looks for signs of life
_STEADY_SECONDS = 30.0  # a stream that held so long did not fail to open

_Watch = Callable[[], Awaitable[Sequence[Row]]]


class PrivateStream:
    """What a venue tells of one account as it happens.

    What the venue's streams tell whole comes as it is; the rest comes as `Missed`. A stream that breaks, is ended by the venue or
    says nothing for longer than its pings allow is opened anew, with exponential backoff and full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        profile: the venue.
        exchange: from `open_client`.
        finder: knows which order is whose.
        ids: the desk's names for the venue's client ids.
        load: loads the markets.
        clock: to wait on before opening anew.
        jitter: decides how long.
        began_at: what was executed before it is not told, as it is not read.
    """

    def __init__(
        self,
        profile: VenueProfile,
        exchange: Exchange,
        finder: Finder,
        ids: ClientIds,
        *,
        load: Callable[[], Awaitable[None]],
        clock: Clock,
        jitter: random.Random,
        began_at: datetime,
    ) -> None:
        self._profile = profile
        self._exchange = exchange
        self._finder = finder
        self._ids = ids
        self._load = load
        self._clock = clock
        self._jitter = jitter
        self._began_at = began_at
        self._sockets: Sockets | None = None
        self._news: asyncio.Queue[Update | Exception] = asyncio.Queue()
        self._in_use = False
        self._unconfirmed = 0
        self._has_spoken = False

    async def updates(self) -> AsyncIterator[Update]:
        """See `Broker.updates`. One at a time."""
        if self._in_use:
            raise self._unavailable("it is being listened to already", "Listen once")
        self._in_use, failures = True, 0
        try:
            while True:
                began = _monotonic()
                try:
                    async with aclosing(self._session()) as session:
                        async for update in session:
                            yield update
                except Exception as raised:
                    if self._exchange.closed_by_user:
                        return
                    error = underlying(raised)
                    if is_refusal(error, self._profile.streams.denials):
                        raise self._unavailable(brief(error), "Check what the key may do") from raised
                    failures = 0 if _monotonic() - began > _STEADY_SECONDS else failures
                    if failures == 0:
                        yield Missed(f"the stream of {self._profile.title} broke: {brief(error)}")
                    if is_clock_skew(error) and self._profile.measures_clock:
                        with suppress(Exception):  # the next attempt tells
                            await self._exchange.load_time_difference()
                await self._clock.sleep(self._jitter.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures, _DOUBLINGS))))
                failures += 1
        finally:
            self._in_use = False

    async def _session(self) -> AsyncGenerator[Update, None]:
        """One opening of the streams, to its end, which is an error."""
        streams = self._profile.streams
        await self._load()
        sockets = self._sockets = self._sockets or Sockets(self._exchange, streams.ping_seconds)
        news = self._news = asyncio.Queue()
        sockets.heard = self._on_frame
        watched: list[tuple[Told, _Watch, Callable[[Row], Update | None]]] = [
            (streams.fills, self._exchange.watch_my_trades, self._fill),
            (streams.orders, self._exchange.watch_orders, self._report),
        ]
        pumps = [
            asyncio.create_task(self._pump(watch, words if told is Told.WHOLE else _something))
            for told, watch, words in watched
            if told is not Told.NOTHING
        ]
        self._unconfirmed, self._has_spoken = len(pumps), False
        if streams.keeps_open:
            pumps.append(asyncio.create_task(self._pump(self._beats, _something)))
        for pump in pumps:
            pump.add_done_callback(lambda _: news.put_nowait(ConnectionError("the sockets were closed")))
        opened, began = False, _monotonic()
        try:
            while True:
                try:
                    async with asyncio.timeout(min(_LOOK_SECONDS, streams.ping_seconds)):
                        item = await news.get()
                except TimeoutError:
                    is_late = not opened and _monotonic() - began > _OPENING_SECONDS
                    if not self._is_taken_as_open(sockets, is_late=is_late):
                        continue
                    item = Missed()
                if isinstance(item, Exception):
                    raise item
                if not opened and not isinstance(item, Missed):
                    yield Missed()
                opened = True
                yield item
        finally:
            sockets.heard = lambda _: None
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await sockets.close()

    async def _pump(self, watch: _Watch, words: Callable[[Row], Update | None]) -> None:
        """Hand on what one stream tells. Nothing may come between two calls: ccxt would not wake who is not waiting."""
        try:
            while True:
                for row in await watch():
                    update = _readable(words, row)
                    if update is not None:
                        self._news.put_nowait(update)
        except Exception as error:  # it ends the session, there
            self._news.put_nowait(error)

    async def _beats(self) -> Sequence[Row]:
        """Waits to the end of the socket: of this channel ccxt hands nothing on."""
        return await self._exchange.subscribe(self._profile.streams.keeps_open, False)

    def _on_frame(self, frame: object) -> None:
        streams, self._has_spoken = self._profile.streams, True
        if matches(frame, streams.confirms):
            if self._unconfirmed:  # the rest confirm what is not private
                self._unconfirmed -= 1
                self._news.put_nowait(Missed())
        elif matches(frame, streams.refuses) or matches(frame, streams.ends):
            self._news.put_nowait(ConnectionError(f"the venue said {frame!r}"))

    def _is_taken_as_open(self, sockets: Sockets, *, is_late: bool) -> bool:
        """Whether a venue that is late to confirm speaks all the same, with more than pongs: what it does not tell is read.

        Raises:
            ConnectionError: the venue is not there.
        """
        limit = 3 * self._profile.streams.ping_seconds
        quiet = sockets.quiet_for()
        if quiet is not None and quiet > limit:
            raise ConnectionError(f"nothing was heard of it for {limit:g} seconds, not even a pong")
        if is_late and not self._has_spoken:
            raise ConnectionError("it did not take the subscription")
        return is_late

    def _fill(self, row: Row) -> Update | None:
        raw = row.get("info")
        named = raw.get(self._profile.streams.client_id) if isinstance(raw, Mapping) else None
        at_venue = self._finder.client_id(str(row.get("order") or "")) or client_id_of(row) or str(named or "")
        if not at_venue:
            return Missed()
        fill = fill_of(row, client_order_id=self._ids.at_desk(at_venue))
        return fill if fill.at >= self._began_at else None

    def _report(self, row: Row) -> Update | None:
        venue_order_id = str(row.get("id") or "")
        at_venue = client_id_of(row) or venue_order_id
        self._finder.met(at_venue, venue_order_id)
        return report_of(
            row, client_order_id=self._ids.at_desk(at_venue), symbol=str(row.get("symbol") or ""), now=self._clock.now()
        )

    def _unavailable(self, why: str, next_step: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"{self._profile.title} does not stream to this account: {why}",
            not_done="Nothing is told as it happens; the venue is read instead",
            next_step=next_step,
        )


def _something(row: Row) -> Update | None:
    """Of a stream that does not tell a thing whole: that there is something to read."""
    return Missed()


def _readable(words: Callable[[Row], Update | None], row: Row) -> Update | None:
    try:
        return words(row)
    except Exception:  # whatever cannot be read here is read where it is told whole, or raises there
        return Missed()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()

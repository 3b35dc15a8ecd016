"""What can differ between venues: the shape of the data in `profiles.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from trading_core.brokers.venues.client_ids import IdRule
from trading_core.brokers.venues.streams import Streams
from trading_core.domain.instruments import FeeCurrency

Params = Mapping[str, object]
_NONE: Params = MappingProxyType({})
TRIGGER: Params = MappingProxyType({"trigger": True})
"""What ccxt asks a book of stops with."""


class Lookup(StrEnum):
    """How an order is found by its client id, and so what "the venue has no such order" rests on."""

    BY_ID = "by_id"  # one call that answers with the order, or that it does not exist
    FILTERED = "filtered"  # lists of open and of closed orders that the venue filters by the id: absent from both
    LISTED = "listed"  # no filter: the whole lists of the account's open and past orders are gone through


class PastOrders(StrEnum):
    """Which of ccxt's lists holds every order that has ended."""

    CLOSED = "closed"
    CANCELLED_AND_CLOSED = "cancelled_and_closed"


class MarketBuy(StrEnum):
    """How a market buy of a base quantity is sent."""

    BASE = "base"
    LIMIT = "limit"  # the venue takes quote only: an immediate-or-cancel limit above the ask keeps the quantity exact


class PageFrom(StrEnum):
    """Which end of its history a venue gives when there is more than a page."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


@dataclass(frozen=True, slots=True)
class History:
    """How past trades and orders are read.

    Attributes:
        page: how many the venue gives at once.
        window: the longest span one question may cover; None for no limit.
        order: which end of a span a page is cut from.
        needs_symbol: whether trades are only told market by market.
        leaves_out_end: whether the last instant that is asked for is not told.
        cursor: under which name a row of a page tells where the next page begins, and that page is asked for; empty for a
            venue whose pages are cut by time only.
        cursor_param: under which name it is asked for, where that is another.
        offset_param: under which name a page is asked for by how many rows go before it, where the venue counts them.
    """

    page: int
    window: timedelta | None
    order: PageFrom
    needs_symbol: bool = False
    leaves_out_end: bool = False
    cursor: str = ""
    cursor_param: str = ""
    offset_param: str = ""


@dataclass(frozen=True, slots=True)
class VenueProfile:
    """One venue.

    Attributes:
        venue: ccxt's id.
        title: its name.
        ids: what it takes for a client order id.
        id_param: under which name ccxt hands the id on when an order is placed.
        stop_id_param: under which name too when it is a stop, if stops have ids of their own.
        find_param: under which name an order is asked for.
        credentials: what a key consists of, in ccxt's names.
        lookup: how an order is found.
        history: how the past is read.
        per_second: requests (in ccxt's weights) the venue takes each second.
        burst: how many at once.
        market_buy: how a market buy is sent.
        market_params: sent with a market order, so that the quantity is never read as quote.
        stop_param: under which name the stop price is sent.
        stop_params: sent with a stop, with or without a limit.
        stop_needs_limit: stops exist only with a limit; one is put `collar` beyond the stop price.
        stops_apart: stops are kept in a book of their own, asked and cancelled with `{"trigger": True}`.
        stop_books: what each of these books is asked for its live stops with.
        cancel_stop_params: sent with the cancel of a stop.
        waiting_stop: what the raw row of a stop says until it triggers, where it is a plain order to the cancel from then on.
        infers_stop_direction: a stop is never refused because its price was passed: the venue waits for it to come back.
        collar: how far a limit that stands in for a market order may lie from the price, as a fraction.
        fee_currency: what it takes its fees from, where ccxt does not say.
        trades_name_orders: a trade tells the client id of its order: without one, the order has none.
        past: where `Lookup.FILTERED` finds orders that have ended.
        fetch_params: sent when an order is asked for by the venue's id.
        open_by_symbol: live orders have to be asked market by market.
        open_limit: how many live orders it tells at most; None for all.
        repeats_answered: an order under a client id that is in use is answered as if it had been taken, with the venue's id of
            the order that has it. Nothing is placed then.
        hidden_markets: what the ids of markets end with that must not stand in for the one of the same symbol.
        sandbox: whether it has one that ccxt reaches.
        measures_clock: whether the skew to its time is measured and taken off what requests carry.
        clock_step_ms: how coarsely it tells its time, milliseconds.
        nonces_grow: it takes signed requests in the order of their nonces only, so that one waits for the answer to another.
        signs_seconds: requests are signed with the second they were made in, from which ccxt takes no skew off; one whose time
            is not accepted is answered like one of a wrong key.
        key_endpoint: ccxt's method that tells what a key may do (`permissions.py`); empty where the venue does not.
        options: ccxt's options that are needed.
        refusals: fragments of an error body that only an order which was judged gets, or a caller who was turned away, for
            errors that ccxt has no class for, or the wrong one.
        refuses_with_5xx: such a body proves a refusal, although it comes with the status of a server error.
        taken: fragments of an error body that tell of an order which was taken, and perhaps filled, whatever ccxt's class for it.
        streams: what it tells of the account as it happens.
    """

    venue: str
    title: str
    ids: IdRule
    id_param: str
    find_param: str
    lookup: Lookup
    history: History
    per_second: float
    burst: float
    stop_param: str
    fee_currency: FeeCurrency
    streams: Streams
    stop_id_param: str | None = None
    credentials: tuple[str, ...] = ("apiKey", "secret")
    market_buy: MarketBuy = MarketBuy.BASE
    market_params: Params = field(default_factory=lambda: _NONE)
    stop_params: Params = field(default_factory=lambda: _NONE)
    stop_needs_limit: bool = False
    stops_apart: bool = False
    stop_books: tuple[Params, ...] = (TRIGGER,)
    cancel_stop_params: Params = field(default_factory=lambda: _NONE)
    waiting_stop: Params = field(default_factory=lambda: _NONE)
    infers_stop_direction: bool = False
    collar: Decimal = Decimal("0.05")
    trades_name_orders: bool = False
    past: PastOrders = PastOrders.CLOSED
    fetch_params: Params = field(default_factory=lambda: _NONE)
    open_by_symbol: bool = False
    open_limit: int | None = None
    repeats_answered: bool = False
    hidden_markets: str = ""
    sandbox: bool = True
    measures_clock: bool = True
    clock_step_ms: int = 1
    nonces_grow: bool = False
    signs_seconds: bool = False
    key_endpoint: str = ""
    options: Params = field(default_factory=lambda: _NONE)
    refusals: tuple[str, ...] = ()
    refuses_with_5xx: bool = False
    taken: tuple[str, ...] = ()

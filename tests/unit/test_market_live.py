"""The live feed through real ccxt, against a local server that speaks Binance's public REST API."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from data_channels.market.live import LiveFeed
from data_channels.market.venue_markets import instrument_of
from trading_core.domain.clock import SimulatedClock, to_ms
from trading_core.domain.errors import ConfigurationError, InvalidInput, MarketDataUnavailable, UnknownSymbol, UnknownTimeframe
from trading_core.domain.instruments import FeeCurrency
from trading_core.domain.market import Bar, MarketFeed, Timeframe

HOUR = Timeframe("1h")
NOW = datetime(2024, 6, 1, 12, 30, tzinfo=UTC)
HOUR_MS = 3_600_000
SYMBOL = "BTC/USDT"

Answer = tuple[int, bytes]
Query = dict[str, str]


def listed(base: str, status: str = "TRADING") -> dict[str, object]:
    return {
        "symbol": f"{base}USDT",
        "status": status,
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.00000000"},
        ],
    }


class Venue:
    """A stand-in for Binance: a bar every hour from its listing on, and answers that a test may replace by path."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Query]] = []
        self.replaced: dict[str, Callable[[Query], Answer]] = {}
        self.listed_at = NOW - timedelta(days=60)
        self.most_rows = 1000
        self.ticker: dict[str, str | None] = {
            "symbol": "BTCUSDT",
            "lastPrice": "68000.10",
            "bidPrice": "68000.00",
            "askPrice": "68000.11",
        }

    def answer(self, path: str, query: Query) -> Answer:
        self.calls.append((path, query))
        if path in self.replaced:
            return self.replaced[path](query)
        match path:
            case "/api/v3/exchangeInfo":
                return self._json({"symbols": [listed("BTC"), listed("ETH"), listed("OLD", "BREAK")]})
            case "/api/v3/klines":
                return self._json(self.klines(query))
            case "/api/v3/ticker/24hr":
                return self._json({**self.ticker, "closeTime": to_ms(NOW) - 700})
        return 404, b"{}"

    def klines(self, query: Query) -> list[list[object]]:
        first = max(int(query["startTime"]), to_ms(self.listed_at))
        rows = range(-(-first // HOUR_MS) * HOUR_MS, to_ms(NOW), HOUR_MS)
        most = min(int(query["limit"]), self.most_rows)
        return [
            [at, "68000.00", "68100.10", "67900", "68050.01", "12.34500", at + HOUR_MS - 1, "0", 1, "0", "0", "0"] for at in rows
        ][:most]

    @staticmethod
    def _json(body: object) -> Answer:
        return 200, json.dumps(body).encode()


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def address(venue: Venue) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, body = venue.answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def feed(address: str) -> AsyncIterator[LiveFeed]:
    live = LiveFeed("binance", [SYMBOL], clock=SimulatedClock(NOW), base_url=address)
    yield live
    await live.close()


async def test_filters_are_the_venues_own_and_only_spot_is_asked(feed: LiveFeed, venue: Venue) -> None:
    market: MarketFeed = feed
    found = await market.instruments()
    assert list(found) == [SYMBOL]
    btc = found[SYMBOL]
    assert (btc.tick_size, btc.lot_size, btc.min_quantity) == (Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"))
    assert (btc.min_notional, btc.max_quantity, btc.max_notional) == (Decimal(5), Decimal(9000), Decimal(9_000_000))
    assert (btc.maker_fee, btc.taker_fee, btc.fee_currency) == (Decimal("0.001"), Decimal("0.001"), FeeCurrency.RECEIVED)
    assert {path for path, _ in venue.calls} == {"/api/v3/exchangeInfo"}
    assert market.generated is False


async def test_bars_are_closed_ones_with_the_prices_sent(feed: LiveFeed) -> None:
    bars = await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=3)
    noon = NOW.replace(minute=0)
    assert [bar.opened_at for bar in bars] == [noon - timedelta(hours=hours) for hours in (3, 2, 1)]
    prices = (Decimal(text) for text in ("68000", "68100.1", "67900", "68050.01", "12.345"))
    assert bars[0] == Bar(noon - timedelta(hours=3), *prices)
    assert [bar.opened_at for bar in await feed.bars(SYMBOL, HOUR, as_of=noon, limit=1)] == [noon - timedelta(hours=1)]
    future = await feed.bars(SYMBOL, HOUR, as_of=NOW + timedelta(days=9), limit=500)
    assert future[-1].opened_at == noon - timedelta(hours=1), "the bar in progress is not closed, whatever was asked"


@pytest.mark.parametrize("most_rows", [1000, 100])
async def test_the_newest_bars_arrive_though_the_venue_caps_its_answers(feed: LiveFeed, venue: Venue, most_rows: int) -> None:
    venue.most_rows = most_rows
    bars = await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=700)
    assert len(bars) == 700
    assert bars[-1].opened_at == NOW.replace(minute=0) - timedelta(hours=1)


async def test_bars_from_after_a_late_listing_are_found(feed: LiveFeed, venue: Venue) -> None:
    venue.listed_at = NOW - timedelta(hours=10)
    venue.replaced["/api/v3/klines"] = lambda query: venue._json(
        [row for row in venue.klines(query) if row[0] < int(query["startTime"]) + 100 * HOUR_MS]
    )
    assert len(await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=400)) == 9


async def test_quiet_hours_without_bars_are_no_failure(feed: LiveFeed, venue: Venue) -> None:
    last = NOW.replace(minute=0) - timedelta(hours=6)
    venue.replaced["/api/v3/klines"] = lambda query: venue._json([row for row in venue.klines(query) if row[0] <= to_ms(last)])
    assert (await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=20))[-1].opened_at == last
    assert await feed.bars_between(SYMBOL, HOUR, start=NOW - timedelta(hours=3), end=NOW) == []


async def test_bars_between_are_those_that_closed_in_the_interval(feed: LiveFeed) -> None:
    noon = NOW.replace(minute=0)
    bars = await feed.bars_between(SYMBOL, HOUR, start=noon - timedelta(hours=3), end=noon)
    assert [bar.opened_at + HOUR.length for bar in bars] == [noon - timedelta(hours=hours) for hours in (2, 1, 0)]
    assert await feed.bars_between(SYMBOL, HOUR, start=noon, end=noon - timedelta(hours=3)) == []


async def test_the_ticker_carries_the_venues_time(feed: LiveFeed) -> None:
    ticker = await feed.ticker(SYMBOL, as_of=NOW)
    assert (ticker.bid, ticker.ask, ticker.last) == (Decimal(68000), Decimal("68000.11"), Decimal("68000.1"))
    assert ticker.at == NOW - timedelta(milliseconds=700)


async def test_a_ticker_that_is_no_price_is_refused(feed: LiveFeed, venue: Venue) -> None:
    good = venue.ticker
    for name, value in [
        ("lastPrice", None),
        ("lastPrice", "0"),
        ("lastPrice", "nan"),
        ("bidPrice", "68000.12"),
        ("bidPrice", "0.00"),
        ("bidPrice", "-1"),
        ("askPrice", None),
        ("askPrice", "what"),
    ]:
        venue.ticker = {**good, name: value}
        with pytest.raises(MarketDataUnavailable, match=r"no price to trade on|form that cannot be read"):
            await feed.ticker(SYMBOL, as_of=NOW)
    venue.ticker = good
    assert await feed.ticker(SYMBOL, as_of=NOW)


async def test_the_present_price_is_no_answer_about_the_past(feed: LiveFeed, venue: Venue) -> None:
    assert await feed.ticker(SYMBOL, as_of=NOW - timedelta(seconds=60))
    venue.calls.clear()
    with pytest.raises(MarketDataUnavailable, match="read the past from bars"):
        await feed.ticker(SYMBOL, as_of=NOW - timedelta(seconds=61))
    assert venue.calls == []


FAILURES: list[Answer] = [
    (500, b"oops"),
    (503, b""),
    (429, b"{}"),
    (400, b'{"code":-1000,"msg":"no"}'),
    (403, b"<html>blocked</html>"),
    (200, b""),
    (200, b"<html>maintenance</html>"),
    (200, b'[[1717236000000, "68000.00", "681'),
    (200, b"[]"),
    (200, b"null"),
    (200, b"7"),
    (200, b'{"unexpected": true}'),
    (200, b'[["x"], null]'),
]


@pytest.mark.parametrize("path", ["/api/v3/klines", "/api/v3/ticker/24hr"])
async def test_outages_and_broken_bodies_are_unavailable_and_never_empty(feed: LiveFeed, venue: Venue, path: str) -> None:
    for answer in FAILURES:
        venue.replaced[path] = lambda _, answer=answer: answer
        with pytest.raises(MarketDataUnavailable) as caught:
            await (feed.bars(SYMBOL, HOUR, as_of=NOW, limit=5) if "klines" in path else feed.ticker(SYMBOL, as_of=NOW))
        assert caught.value.next_step
        assert "\n" not in caught.value.what
        assert len(caught.value.what) < 400
    venue.replaced.clear()
    assert await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=5)


@pytest.mark.parametrize("second", [(200, b"[]"), (200, b"<html>"), (500, b"")])
async def test_bars_without_the_newest_ones_are_not_passed_off_as_all(feed: LiveFeed, venue: Venue, second: Answer) -> None:
    pages = iter([True])
    venue.replaced["/api/v3/klines"] = lambda query: venue._json(venue.klines(query)) if next(pages, False) else second
    with pytest.raises(MarketDataUnavailable):
        await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=700)


async def test_an_outage_while_markets_load_is_told_and_mends_itself(feed: LiveFeed, venue: Venue) -> None:
    venue.replaced["/api/v3/exchangeInfo"] = lambda _: (500, b"oops")
    with pytest.raises(MarketDataUnavailable, match="binance did not give its markets"):
        await feed.instruments()
    venue.replaced.clear()
    assert SYMBOL in await feed.instruments()


async def test_a_bar_that_cannot_be_is_refused(feed: LiveFeed, venue: Venue) -> None:
    at = to_ms(NOW.replace(minute=0)) - HOUR_MS
    venue.replaced["/api/v3/klines"] = lambda _: venue._json([[at, "5", "4", "3", "3", "1"]])
    with pytest.raises(MarketDataUnavailable, match="that cannot be: open 5"):
        await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=5)


async def test_a_venue_out_of_reach_says_what_to_do() -> None:
    live = LiveFeed("binance", [SYMBOL], clock=SimulatedClock(NOW), base_url="http://127.0.0.1:9")
    with pytest.raises(MarketDataUnavailable, match="Check the network"):
        await live.ticker(SYMBOL, as_of=NOW)
    await live.close()


async def test_symbols_that_are_not_there_are_refused_with_close_ones(feed: LiveFeed, address: str) -> None:
    with pytest.raises(UnknownSymbol, match="It lists BTC/USDT"):
        await feed.ticker("ETH/USDT", as_of=NOW)
    other = LiveFeed("binance", ["ETHH/USDT", "OLD/USDT"], clock=SimulatedClock(NOW), base_url=address)
    with pytest.raises(UnknownSymbol, match=r"no spot market 'ETHH/USDT'.*ETH/USDT"):
        await other.instruments()
    with pytest.raises(MarketDataUnavailable, match="does not trade OLD/USDT at present"):
        await other.ticker("OLD/USDT", as_of=NOW)
    await other.close()


async def test_what_the_venue_has_not_is_refused(feed: LiveFeed) -> None:
    for length in ("7h", "9999w"):
        with pytest.raises(UnknownTimeframe, match=rf"no {length} bars.*1h"):
            await feed.bars(SYMBOL, Timeframe(length), as_of=NOW, limit=1_000)
    with pytest.raises(InvalidInput, match="limit of 0"):
        await feed.bars(SYMBOL, HOUR, as_of=NOW, limit=0)


def test_an_unknown_venue_is_refused_with_close_names() -> None:
    with pytest.raises(ConfigurationError, match=r"no venue 'binanse'.*Did you mean binance"):
        LiveFeed("binanse", [SYMBOL], clock=SimulatedClock(NOW))
    with pytest.raises(ConfigurationError, match="ccxt's name of a venue"):
        LiveFeed("__class__", [SYMBOL], clock=SimulatedClock(NOW))


def market(**change: object) -> dict[str, object]:
    return {"symbol": SYMBOL, "precision": {"price": 2, "amount": 5}, "limits": {}, **change}


def test_decimal_places_become_steps_and_missing_limits_are_one_lot() -> None:
    found = instrument_of("somewhere", market(), 2)
    assert (found.tick_size, found.lot_size, found.min_quantity) == (Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"))
    assert (found.min_notional, found.max_quantity, found.taker_fee) == (Decimal(0), None, Decimal("0.001"))


@pytest.mark.parametrize(
    ("venue_id", "side", "currency"),
    [
        ("kraken", None, FeeCurrency.QUOTE),
        ("coinbase", None, FeeCurrency.QUOTE),
        ("okx", None, FeeCurrency.RECEIVED),
        ("bybit", "get", FeeCurrency.RECEIVED),
        ("other", "quote", FeeCurrency.QUOTE),
    ],
)
def test_the_fee_is_taken_in_the_venues_currency(venue_id: str, side: str | None, currency: FeeCurrency) -> None:
    assert instrument_of(venue_id, market(feeSide=side), 2).fee_currency is currency


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        ({"precision": {"price": None, "amount": 0.1}}, 4),
        ({"precision": None}, 4),
        ({}, 3),
        ({"precision": {"price": 0, "amount": 0.1}}, 4),
        ({"limits": {"amount": {"min": "lots"}}}, 2),
        ({"taker": float("nan")}, 2),
    ],
)
def test_a_market_without_usable_filters_is_not_opened(change: dict[str, object], mode: int) -> None:
    with pytest.raises(MarketDataUnavailable):
        instrument_of("somewhere", market(**change), mode)

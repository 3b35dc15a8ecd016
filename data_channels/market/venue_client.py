"""The ccxt client behind the live feeds: opening it, its numbers kept exact, and its errors in the desk's words."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import urlsplit

from trading_core.ccxt_client.client import exact_json, move
from trading_core.domain.errors import BrokerUnavailable, ConfigurationError, InvalidInput, MarketDataUnavailable, UnknownSymbol

Throttling = Callable[[float | None], Awaitable[None]]
"""Waits for a turn of so much weight; None weighs one."""


class Exchange(Protocol):
    """What is used of ccxt's asynchronous client."""

    id: str
    precisionMode: int  # noqa: N815 - ccxt's own name
    urls: dict[str, object]
    options: dict[str, object]
    markets: dict[str, dict[str, object]]
    timeframes: dict[str, object]
    parse_json: Callable[[str], object]
    on_rest_response: Callable[..., str]
    throttle: Callable[..., object]
    timeout_on_exit: int

    def set_sandbox_mode(self, enabled: bool) -> None: ...
    async def load_markets(self) -> dict[str, dict[str, object]]: ...
    async def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[object]]: ...
    async def fetch_ticker(self, symbol: str) -> dict[str, object]: ...
    async def fetch_trades(
        self, symbol: str, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Mapping[str, object]]: ...
    async def close(self) -> None: ...


def open_exchange(
    venue_id: str, base_url: str | None, *, sandbox: bool = False, throttle: Throttling | None = None, streams: bool = False
) -> Exchange:
    """ccxt's client of a venue, without keys and set to spot; it connects when it is first asked.

    Args:
        venue_id: ccxt's name of the venue.
        base_url: where its REST API and its streams are instead, if not at the venue's own hosts.
        sandbox: the venue's test network.
        throttle: instead of ccxt's own.
        streams: a client that streams too.

    Raises:
        ConfigurationError: ccxt knows no such venue, or none that streams, or it has no sandbox.
    """
    # Here, because it costs 0.4 s and 100 MB that only live desks should pay.
    if streams:
        import ccxt.pro as ccxt
    else:
        import ccxt.async_support as ccxt

    if venue_id not in ccxt.exchanges:
        near = difflib.get_close_matches(venue_id.lower(), ccxt.exchanges, n=3, cutoff=0.6)
        raise ConfigurationError(
            f"there is no venue {venue_id!r}{' that streams' * streams}",
            not_done="No market data was opened",
            next_step=f"Did you mean {' or '.join(near)}?" if near else "Use ccxt's name of a venue, such as binance or kraken",
        )
    # Spot has to be said: Bybit means swaps when nothing is.
    # Numbers stay the text they came as: a float never comes up.
    exact = type(venue_id, (getattr(ccxt, venue_id),), {"number": str})
    exchange = cast(Exchange, exact({"enableRateLimit": True, "options": {"defaultType": "spot"}}))
    exchange.parse_json = exact_json
    markets = exchange.options.get("fetchMarkets")
    if isinstance(markets, dict) and "types" in markets:
        markets["types"] = ["spot"]  # Binance, Bybit and OKX would fetch every derivative too
    exchange.on_rest_response = _only_json
    if throttle is not None:
        exchange.throttle = throttle
    if sandbox:
        if not exchange.urls.get("test"):
            raise ConfigurationError(
                f"{venue_id} has no sandbox", not_done="No market data was opened", next_step="Use the paper exchange"
            )
        exchange.set_sandbox_mode(True)
    if base_url is not None:
        move(exchange, base_url)
    return exchange


@contextmanager
def translated(venue: str, what: str) -> Iterator[None]:
    """ccxt's errors, and whatever a broken body makes it stumble over, in the desk's words."""
    import ccxt

    try:
        yield
    except BrokerUnavailable as error:  # the shared throttle lets nothing through
        raise MarketDataUnavailable(
            f"{venue} did not give {what}: {error.what}", not_done=error.not_done, next_step=error.next_step
        ) from error
    except ccxt.BadSymbol as error:
        raise UnknownSymbol(f"{venue} does not know what was asked for {what}: {brief(error)}") from error
    except ccxt.NetworkError as error:
        raise MarketDataUnavailable(
            f"{venue} did not give {what}: {brief(error)}",
            next_step="Check the network and the venue's status page, then try again",
        ) from error
    except ccxt.BaseError as error:
        raise MarketDataUnavailable(
            f"{venue} refused to give {what}: {brief(error)}",
            next_step="Read the venue's words above; public data may be closed to your region",
        ) from error
    except (ArithmeticError, AttributeError, InvalidInput, LookupError, TypeError, ValueError) as error:
        raise MarketDataUnavailable(
            f"{venue} gave {what} in a form that cannot be read ({brief(error)})",
            not_done="Nothing of it was used",
            next_step="Try again; if it lasts, the venue has changed its interface and ccxt needs an update",
        ) from error


def _only_json(code: int, reason: str, url: str, method: str, headers: object, body: str, *request: object) -> str:
    """Refuse what is no whole JSON document: ccxt would read a maintenance page or half a body as an empty list of bars."""
    text = body.strip()
    if code < HTTPStatus.BAD_REQUEST and (text[:1] + text[-1:]) not in ("{}", "[]"):
        from ccxt import BadResponse

        raise BadResponse(f"{method} {urlsplit(url).path} answered {code} {reason} with {len(text)} characters that are no JSON")
    return text


def brief(error: Exception) -> str:
    """One short line of an error: venues answer outages with whole web pages."""
    return " ".join(str(error).split())[:200] or type(error).__name__

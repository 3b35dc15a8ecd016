"""ccxt's client of one account, set up so that it neither rounds, retries nor guesses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import urlsplit

from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.cryptocom import rerouted, with_test_streams
from trading_core.brokers.venues.errors import last_status
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.brokers.venues.turns import in_turn
from trading_core.ccxt_client.client import exact_json, move
from trading_core.ccxt_client.sockets import HasSockets
from trading_core.domain.errors import ConfigurationError

Row = dict[str, object]
_TIMEOUT_MS = 10_000
_HOLD_OFF_SECONDS = 10.0  # after "too many requests" without a word on how long; Binance's shortest ban is two minutes
_TEAPOT = 418  # Binance: banned for having gone on after 429
_BANNED_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key. `passphrase` is OKX's; Coinbase's secret is a PEM key. Nothing of it is printed."""

    key: str
    secret: str = field(repr=False)
    passphrase: str = field(default="", repr=False)


class Exchange(HasSockets, Protocol):
    """What is used of ccxt's asynchronous client."""

    precisionMode: int  # noqa: N815 - ccxt's own name
    urls: dict[str, object]
    options: dict[str, object]
    has: dict[str, object]
    markets: dict[str, Row]
    markets_by_id: dict[str, list[Row]]
    throttle: Callable[..., object]
    parse_json: Callable[[str], object]
    on_rest_response: Callable[..., str]
    request: Callable[..., Awaitable[object]]
    closed_by_user: bool
    timeout_on_exit: int

    def set_sandbox_mode(self, enabled: bool) -> None: ...
    def set_markets(self, markets: list[Row]) -> object: ...
    async def load_markets(self) -> dict[str, Row]: ...
    async def load_time_difference(self) -> int: ...
    async def fetch_time(self) -> int: ...
    async def fetch_ticker(self, symbol: str) -> Row: ...
    async def fetch_balance(self) -> dict[str, Row]: ...
    async def create_order(
        self, symbol: str, kind: str, side: str, amount: str, price: str | None, params: Mapping[str, object], /
    ) -> Row: ...
    async def cancel_order(self, venue_id: str, symbol: str, params: Mapping[str, object], /) -> Row: ...
    async def fetch_order(self, venue_id: str | None, symbol: str, params: Mapping[str, object], /) -> Row: ...
    async def fetch_open_orders(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Row]: ...
    async def fetch_closed_orders(
        self, symbol: str, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Row]: ...
    async def fetch_canceled_and_closed_orders(
        self, symbol: str, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Row]: ...
    async def fetch_orders(
        self, symbol: str | None, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Row]: ...
    async def fetch_my_trades(
        self, symbol: str | None, since: int | None = None, limit: int | None = None, params: Mapping[str, object] = ...
    ) -> Sequence[Row]: ...
    async def watch_my_trades(self) -> Sequence[Row]: ...
    async def watch_orders(self) -> Sequence[Row]: ...
    async def subscribe(self, name: str, is_private: bool, /) -> Sequence[Row]: ...
    async def close(self) -> None: ...


def open_client(
    profile: VenueProfile, credentials: Credentials, throttle: Throttle, *, sandbox: bool, base_url: str | None
) -> Exchange:
    """A client that connects when it is first asked.

    Args:
        profile: the venue.
        credentials: the account's key.
        throttle: the account's, instead of ccxt's own, which each client would begin anew.
        sandbox: the venue's test network.
        base_url: another host that speaks the venue's REST API and streams; paths stay the same.

    Raises:
        ConfigurationError: a part of the key is missing, or the venue has no sandbox.
    """
    given = {"apiKey": credentials.key, "secret": credentials.secret, "password": credentials.passphrase}
    missing = [{"apiKey": "key", "password": "passphrase"}.get(name, name) for name in profile.credentials if not given[name]]
    if missing:
        raise ConfigurationError(
            f"{profile.title} needs a {' and a '.join(missing)} with its key, and has none",
            not_done="The account was not opened",
            next_step="Store the whole key",
        )
    if sandbox and not profile.sandbox:
        raise ConfigurationError(
            f"{profile.title} has no sandbox",
            not_done="The account was not opened",
            next_step="Practise on the paper exchange, or at another venue's sandbox",
        )
    import ccxt.pro as ccxt  # here, because it costs 0.4 s and 110 MB that only a real venue should pay

    settings = {name: given[name] for name in profile.credentials} | {
        "enableRateLimit": True,
        "timeout": _TIMEOUT_MS,
        "options": _plain(profile.options) | {"maxRetriesOnFailure": 0, "adjustForTimeDifference": False},
    }
    # ccxt's numbers as text, from its own constants on: a float never comes up.
    ways: dict[str, object] = {"number": str}
    if profile.signs_seconds:
        ways["seconds"] = lambda client: client.nonce() // 1000  # the venue's: ccxt takes the skew off its nonces only
    exact = type(profile.venue, (getattr(ccxt, profile.venue),), ways)
    exchange = cast(Exchange, exact(settings))
    exchange.has["fetchCurrencies"] = False  # a private call with most keys, for what markets tell too
    exchange.parse_json = exact_json
    exchange.throttle = throttle.acquire
    exchange.on_rest_response = _watching(throttle)
    if profile.nonces_grow:
        exchange.request = in_turn(exchange.request)
    if profile.venue == "cryptocom":
        exchange.request = rerouted(exchange.request)
        with_test_streams(exchange.urls)
    if sandbox:
        exchange.set_sandbox_mode(True)
    if base_url is not None:
        move(exchange, base_url)
    return exchange


def _watching(throttle: Throttle) -> Callable[..., str]:
    """What is done with every answer before ccxt reads it."""

    def watch(code: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, *request: object) -> str:
        last_status.set(code)
        if code in (HTTPStatus.TOO_MANY_REQUESTS, _TEAPOT):
            throttle.hold_off(_seconds(headers, _BANNED_SECONDS if code == _TEAPOT else _HOLD_OFF_SECONDS))
        text = body.strip()
        if code < HTTPStatus.BAD_REQUEST and exact_json(text) is None:
            # ccxt would read a maintenance page, or half a body, as an answer with nothing in it.
            from ccxt import BadResponse

            raise BadResponse(f"{method} {urlsplit(url).path} answered {code} {reason} with {len(text)} characters of no JSON")
        return text

    return watch


def _seconds(headers: Mapping[str, str], otherwise: float) -> float:
    """What `Retry-After` says, in its form of seconds (RFC 9110, 10.2.3)."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(said) if said.isdigit() else otherwise


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    """A copy that ccxt may change."""
    return {name: _plain(value) if isinstance(value, Mapping) else value for name, value in options.items()}

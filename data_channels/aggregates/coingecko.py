"""CoinGecko: an asset's price, volume and size over all the venues it follows.

`GET /simple/price` (https://docs.coingecko.com/reference/simple-price), for every symbol in one request. Readings:

| name | unit | what |
| --- | --- | --- |
| `price` | the quote's: `USD`, `EUR`, `GBP`, `BTC`, `ETH` | weighted over venues by volume; a dollar stablecoin is a dollar |
| `market_cap` | `USD` | price × circulating supply |
| `volume_24h` | `USD` | traded in the last 24 hours, over all venues |
| `change_24h` | `percent` | of the price in the last 24 hours, in the quote's currency |

`observed_at` is `last_updated_at` of the answer. The service keeps its answers for a minute or so, so that a value counts as
published when the desk got it. It works without a key; a demo key has 30 requests a minute and 10 000 a month, which every five
minutes stay within (https://docs.coingecko.com/docs/common-errors-rate-limit).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.symbols import DOLLARS, known_by, quote_of
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

DEMO_URL = "https://api.coingecko.com/api/v3"
PRO_URL = "https://pro-api.coingecko.com/api/v3"
PRICE_PATH = "/simple/price"

IDS = {
    "AAVE": "aave",
    "ADA": "cardano",
    "ALGO": "algorand",
    "APT": "aptos",
    "ARB": "arbitrum",
    "ATOM": "cosmos",
    "AVAX": "avalanche-2",
    "BCH": "bitcoin-cash",
    "BNB": "binancecoin",
    "BTC": "bitcoin",
    "DOGE": "dogecoin",
    "DOT": "polkadot",
    "ETC": "ethereum-classic",
    "ETH": "ethereum",
    "FIL": "filecoin",
    "HBAR": "hedera-hashgraph",
    "LINK": "chainlink",
    "LTC": "litecoin",
    "NEAR": "near",
    "OP": "optimism",
    "PEPE": "pepe",
    "SHIB": "shiba-inu",
    "SOL": "solana",
    "SUI": "sui",
    "TON": "the-open-network",
    "TRX": "tron",
    "UNI": "uniswap",
    "XLM": "stellar",
    "XMR": "monero",
    "XRP": "ripple",
    "XTZ": "tezos",
}
"""Assets by the service's id. A ticker is not enough there: hundreds of coins share one."""

_CURRENCIES = {"EUR": "eur", "GBP": "gbp", "BTC": "btc", "ETH": "eth"} | dict.fromkeys(DOLLARS, "usd")


class CoinGecko:
    """The aggregate source of prices.

    Args:
        key: a demo key, or a pro key with `base_url=PRO_URL`; None asks without one, at the public rate.
    """

    name = "coingecko"
    kind = Kind.AGGREGATE
    pace = Pace(every=timedelta(minutes=5), stale_after=timedelta(minutes=20), per_minute=10)
    wants = ""

    def __init__(self, key: SecretStr | None = None, *, base_url: str = DEMO_URL, timeout: float = 15.0) -> None:
        header = "x-cg-pro-api-key" if base_url == PRO_URL else "x-cg-demo-api-key"
        self._service = JsonService(self.name, base_url, secret_headers={header: key} if key else {}, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """One request for all symbols. A symbol whose quote is no currency it gives prices in has no `price`."""
        ids = known_by(symbols, IDS)
        if not ids:
            return ()
        currencies = {_CURRENCIES[quote_of(symbol)] for symbol in ids if quote_of(symbol) in _CURRENCIES} | {"usd"}
        answer = await self._service.get(
            PRICE_PATH,
            {
                "ids": ",".join(sorted(set(ids.values()))),
                "vs_currencies": ",".join(sorted(currencies)),
                "include_market_cap": "true",
                "include_24hr_vol": "true",
                "include_24hr_change": "true",
                "include_last_updated_at": "true",
                "precision": "full",
            },
            now=now,
        )
        coins = {symbol: coin for symbol, asset in ids.items() if (coin := answer.optional(asset)) is not None}
        if not coins:
            raise ChannelUnavailable(
                f"{self.name} {PRICE_PATH}: not one of the coins that were asked for is in the answer",
                not_done="Nothing of this answer was used",
            )
        return [reading for symbol, coin in coins.items() for reading in self._readings(symbol, coin, now)]

    def _readings(self, symbol: str, coin: Node, now: datetime) -> Iterator[Reading]:
        observed_at = coin.field("last_updated_at").instant()
        currency = _CURRENCIES.get(quote_of(symbol))
        told = [
            ("market_cap", "USD", coin.optional("usd_market_cap")),
            ("volume_24h", "USD", coin.optional("usd_24h_vol")),
        ]
        if currency is not None:
            told += [
                ("price", currency.upper(), coin.field(currency)),
                ("change_24h", "percent", coin.optional(f"{currency}_24h_change")),
            ]
        for name, unit, value in told:
            # A coin that is hardly traded has null for some of them.
            if value is not None:
                yield Reading(self.name, symbol, name, value.number(), unit, observed_at, now)

    async def close(self) -> None:
        await self._service.close()

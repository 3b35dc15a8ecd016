"""Generated prices: a market to practise on with no files and no network. No price in it was ever paid by anyone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from data_channels.market.factor import TYPICAL_VOLATILITY, Factor, Floats, clusters, make_factor, stream
from data_channels.market.filters import inferred_instrument
from data_channels.market.grid import ceil_to_grid
from data_channels.market.series import BarSeries, SeriesFeed
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Timeframe

_MOST_BARS = 1_000_000  # of all symbols together: about 700 MB
_SIGNIFICANT_DIGITS = 5
_MOST_TICKS = 2**53  # floats count whole numbers exactly up to here


@dataclass(frozen=True, slots=True)
class _Coin:
    """What a base currency is like. Round numbers near what it has traded at, not quotes.

    Attributes:
        price: US dollars at the start.
        beta: how far it moves when the market moves by one.
        own: volatility of its own per square root of a year, in a typical regime.
        turnover: US dollars a day.
    """

    price: float
    beta: float
    own: float
    turnover: float


_COINS = {
    "BTC": _Coin(60_000, 1.0, 0.10, 1.5e9),
    "ETH": _Coin(3_000, 1.15, 0.30, 9e8),
    "BNB": _Coin(550, 0.9, 0.35, 1.5e8),
    "SOL": _Coin(150, 1.35, 0.50, 4e8),
    "XRP": _Coin(0.55, 1.0, 0.50, 2.5e8),
    "ADA": _Coin(0.45, 1.2, 0.45, 8e7),
    "DOGE": _Coin(0.12, 1.3, 0.60, 1.5e8),
    "TRX": _Coin(0.12, 0.7, 0.40, 6e7),
    "BCH": _Coin(400, 1.1, 0.50, 6e7),
    "LTC": _Coin(80, 1.0, 0.45, 8e7),
    "LINK": _Coin(14, 1.2, 0.50, 8e7),
    "DOT": _Coin(6.5, 1.2, 0.50, 5e7),
    "AVAX": _Coin(30, 1.3, 0.55, 1e8),
    "EUR": _Coin(1.08, 0.0, 0.06, 5e7),
    "USD": _Coin(1, 0.0, 0.005, 1e8),
    "USDC": _Coin(1, 0.0, 0.005, 1e8),
    "USDT": _Coin(1, 0.0, 0.005, 1e8),
}


class SyntheticFeed(SeriesFeed):
    """A `MarketFeed` of generated prices; `generated` is True and the name says so.

    One market factor goes through bull trends, bear trends, chop, crashes and recoveries; every symbol follows it by its beta
    and adds moves of its own. Volatility clusters, and volume grows with it. Each bar's high and low are drawn from
    the law of the extremes of a Brownian path between open and close (Glasserman, Monte Carlo Methods in Financial
    Engineering, 2003, section 6.4). There are no gaps, and each open is the close before it. Pairs are generated one by one:
    `ETH/BTC` does not equal `ETH/USDT` over `BTC/USDT`.

    The bars of a symbol depend on seed, symbol, timeframe and start alone: a later end or another symbol changes none of them.

    Args:
        seed: which of the markets to generate.
        symbols: pairs such as `BTC/USDT`; a base that is not known gets a price derived from its name.
        timeframe: length of a bar.
        start: the first bar opens at the first grid instant at or after it.
        end: the last bar closes at or before it.
        era: generate the market that starts there, and tell it as if it started at `start`.
        held_from: bars that open before it are generated and not held; everything from `start` on when absent.

    Raises:
        InvalidInput: no symbols, no room for a bar between start and end, more bars than memory should hold, a malformed symbol
            or an instant without a time zone.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str],
        timeframe: Timeframe,
        start: datetime,
        end: datetime,
        *,
        era: datetime | None = None,
        held_from: datetime | None = None,
    ) -> None:
        first = ceil_to_grid(start, timeframe)
        count = (utc(end) - first) // timeframe.length
        held = first if held_from is None else max(first, ceil_to_grid(held_from, timeframe))
        skipped = (held - first) // timeframe.length
        names = list(dict.fromkeys(symbols))
        if not names:
            raise InvalidInput("a synthetic market needs at least one symbol", next_step="Give one such as BTC/USDT")
        if count - skipped < 1:
            raise InvalidInput(f"no {timeframe} bar fits between {iso(start)} and {iso(end)}", next_step="Give a later end")
        if (count - skipped) * len(names) > _MOST_BARS:
            raise InvalidInput(
                f"{len(names)} symbols of {count - skipped} {timeframe} bars are more than {_MOST_BARS:,} bars",
                not_done="Nothing was generated",
                next_step="Take a longer timeframe, fewer symbols or a shorter period",
            )
        days_per_bar = timeframe.length / timedelta(days=1)
        key = f"{seed}|{timeframe}|{iso(first if era is None else ceil_to_grid(era, timeframe))}"
        factor = make_factor(key, count, days_per_bar)
        opened = [held + timeframe.length * index for index in range(count - skipped)]
        super().__init__(
            f"synthetic (generated, seed {seed})",
            timeframe,
            {name: _series(name, key, factor, opened, timeframe) for name in names},
            generated=True,
        )


def _series(symbol: str, key: str, factor: Factor, opened: list[datetime], timeframe: Timeframe) -> BarSeries:
    base, _, quote = symbol.partition("/")
    coin, money = _coin(base), _coin(quote)
    price = coin.price / money.price
    decimals = max(2, _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(price)))
    instrument = inferred_instrument(symbol, price=Decimal(repr(price)), decimals=decimals)

    key = f"{key}|{symbol}"
    count, days_per_bar = len(factor.returns), timeframe.length / timedelta(days=1)
    beta = coin.beta - money.beta
    own = coin.own * math.sqrt(days_per_bar / 365) * factor.stress * clusters(stream(key, "clusters"), count, days_per_bar)
    returns = beta * factor.returns + own * stream(key, "shocks").standard_normal(count)
    volatility = np.sqrt((beta * factor.volatility) ** 2 + own**2)

    tick = float(instrument.tick_size)
    closes = np.clip(np.rint(price * np.exp(np.cumsum(returns)) / tick), 1, _MOST_TICKS)
    opens = np.concatenate(([max(1.0, np.rint(price / tick))], closes[:-1]))
    move = np.log(closes / opens)
    highs = np.clip(np.ceil(opens * np.exp(_reach(stream(key, "high"), move, volatility))), np.maximum(opens, closes), None)
    lows = np.clip(np.floor(opens / np.exp(_reach(stream(key, "low"), -move, volatility))), 1, np.minimum(opens, closes))

    # Turnover follows volatility and the move that was made; the rest is chance (mean of the noise is one).
    busy = volatility / (TYPICAL_VOLATILITY * math.sqrt(days_per_bar / 365)) * (0.6 + 0.5 * np.abs(move) / volatility)
    noise = np.exp(0.4 * stream(key, "volume").standard_normal(count) - 0.08)
    turnover = min(coin.turnover, money.turnover) if money.beta else coin.turnover
    quote_volume = turnover / money.price * days_per_bar * busy * noise
    lots = np.rint(quote_volume / (closes * tick) / float(instrument.lot_size))
    return BarSeries(instrument, timeframe, _bars(instrument, opened, opens, highs, lows, closes, lots))


def _reach(random: np.random.Generator, move: Floats, volatility: Floats) -> Floats:
    """How far above its start a Brownian path went that ended at `move`: the exact law of its maximum, by inversion."""
    uniform = 1 - random.random(len(move))  # in (0, 1]
    reach: Floats = (move + np.sqrt(move**2 - 2 * volatility**2 * np.log(uniform))) / 2
    return reach


def _bars(
    instrument: Instrument, opened: list[datetime], opens: Floats, highs: Floats, lows: Floats, closes: Floats, lots: Floats
) -> list[Bar]:
    """Exact bars of whole ticks and whole lots: the last ones, as many as have an instant."""
    tick, lot = instrument.tick_size, instrument.lot_size
    columns = [column[-len(opened) :].tolist() for column in (opens, highs, lows, closes, lots)]
    return [
        Bar(at, int(o) * tick, int(h) * tick, int(low) * tick, int(c) * tick, int(volume) * lot)
        for at, o, h, low, c, volume in zip(opened, *columns, strict=True)
    ]


def _coin(code: str) -> _Coin:
    """What is known of a currency, or something settled by its name."""
    known = _COINS.get(code)
    if known is not None:
        return known
    digest = hashlib.sha256(code.encode()).digest()
    level, beta, own = (int.from_bytes(digest[index : index + 4], "big") / 2**32 for index in (0, 4, 8))
    return _Coin(price=round(0.05 * 10 ** (4 * level), 4), beta=0.8 + 0.8 * beta, own=0.4 + 0.4 * own, turnover=3e7)

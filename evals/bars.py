"""A scenario's prices: bars generated from its segments, or cut out of a recording, and what the shocks make of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path

from data_channels.market.factor import stream
from data_channels.market.file_names import parse_name
from data_channels.market.filters import inferred_instrument, price_decimals
from data_channels.market.grid import ceil_to_grid
from data_channels.market.history import HistoryFeed
from data_channels.market.series import BarSeries
from evals.schema import Market, Scenario, Segment, Shock
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Timeframe
from trading_core.domain.money import ONE

DECIDED_AT = datetime(2025, 3, 3, 12, tzinfo=UTC)  # of generated markets of less than a day a bar; any noon would do
DECIDED_DAILY = datetime(2025, 3, 3, tzinfo=UTC)
KEPT_BEFORE = 400  # bars of a recording: more than an agent's indicators stand on
SPARE = 2  # bars after the horizon, for the last orders to fill in
_DIGITS = 5  # significant ones of a generated price
_LEAST_GROWTH = 0.1  # of one bar: a price falls by 90 % at most


class RecordingMissing(ConfigurationError):
    """A scenario stands on recorded bars that are not here. It is skipped, and the report says so."""


@dataclass(frozen=True, slots=True)
class Prices:
    """One symbol's bars.

    Attributes:
        real: what trades at the exchange.
        seen: what the desk's feed tells of it: the same, but for a feed that has ended.
        lies: intervals `(after, until]` in which the desk's ticker is the real one times a factor.
    """

    real: BarSeries
    seen: BarSeries
    lies: tuple[tuple[datetime, datetime, Decimal], ...] = ()


def decided_at(scenario: Scenario) -> datetime:
    """When the first decision is made: where the recordings say, or at an instant that all generated markets share.

    Raises:
        ConfigurationError: recordings of one scenario end at different times, or off the grid of its bars.
    """
    timeframe = Timeframe(scenario.timeframe)
    ends = {_recorded(market.recorded)[1] for market in scenario.markets if market.recorded}
    if not ends:
        return DECIDED_DAILY if scenario.timeframe == "1d" else DECIDED_AT
    end = ends.pop()
    if ends or ceil_to_grid(end, timeframe) != end:
        raise _unusable(scenario, f"its recordings must all end at one close of a {timeframe} bar")
    return end


def prices_of(scenario: Scenario, data: Path | None) -> dict[str, Prices]:
    """Every symbol's prices, the same for the same scenario.

    Args:
        data: where recordings lie.

    Raises:
        RecordingMissing: it needs recordings and they are not there.
        ConfigurationError: a shock or a recording makes no market.
    """
    at, ahead = decided_at(scenario), scenario.cycles - 1 + scenario.horizon + SPARE
    return {market.symbol: _prices(scenario, market, at, ahead, data) for market in scenario.markets}


def _prices(scenario: Scenario, market: Market, at: datetime, ahead: int, data: Path | None) -> Prices:
    timeframe = Timeframe(scenario.timeframe)
    if market.recorded:
        instrument, bars = _cut(scenario, market, at, ahead, data)
    else:
        instrument, bars = _generated(scenario, market, at, ahead)
    for shock in market.shocks:
        bars = _shaken(bars, shock, at, timeframe, instrument)
    known = [bar for bar in bars if bar.opened_at < at]
    if not known:
        raise _unusable(scenario, f"{market.symbol} has no bar before the decision")
    ends = [at + shock.at * timeframe.length for shock in market.shocks if shock.kind == "stale"]
    seen = [bar for bar in bars if bar.opened_at < min(ends)] if ends else bars
    if not seen:
        raise _unusable(scenario, f"{market.symbol} has no bar before its feed ends")
    lies = tuple(
        (
            at + (shock.at + 1) * timeframe.length - timedelta(microseconds=1),
            at + (shock.at + 1 + shock.bars) * timeframe.length - timedelta(microseconds=1),
            ONE + Decimal(str(shock.size)),
        )
        for shock in market.shocks
        if shock.kind == "scale"
    )
    real = BarSeries(instrument, timeframe, bars)
    return Prices(real, BarSeries(instrument, timeframe, seen) if ends else real, lies)


def _cut(scenario: Scenario, market: Market, at: datetime, ahead: int, data: Path | None) -> tuple[Instrument, list[Bar]]:
    name, _ = _recorded(market.recorded or "")
    timeframe = Timeframe(scenario.timeframe)
    folder = None if data is None else next((one for one in (data / "ohlcv", data) if (one / name).is_file()), None)
    if folder is None:
        raise RecordingMissing(
            f"scenario {scenario.id!r} needs the recording {name}",
            not_done="It was skipped",
            next_step="Set ALGOTRENDY_DATA to the folder of recorded data",
        )
    series = _series(folder / name, scenario.timeframe)
    if series.instrument.symbol != market.symbol:
        raise _unusable(scenario, f"{name} is of {series.instrument.symbol}, not of {market.symbol}")
    length = timeframe.length
    # From behind, so that a gap in the recording does not shorten what the indicators stand on.
    bars = [*series.closed(at, KEPT_BEFORE), *series.between(at, at + ahead * length)]
    if not bars:
        raise _unusable(scenario, f"{name} holds nothing before {iso(at)}")
    first = bars[0]
    assumed = inferred_instrument(market.symbol, price=first.open, decimals=price_decimals(series.bars[0]))
    return _filtered(assumed, market), bars


@lru_cache(maxsize=3)
def _series(path: Path, timeframe: str) -> BarSeries:
    named = parse_name(path)
    feed = HistoryFeed.load([path], timeframe=Timeframe(timeframe))
    return feed.series(named.symbol if named else "")


def _generated(scenario: Scenario, market: Market, at: datetime, ahead: int) -> tuple[Instrument, list[Bar]]:
    """A random walk with the segments' drift and noise. Floats: it is a simulation; bars are whole ticks and lots."""
    timeframe, key = Timeframe(scenario.timeframe), f"{scenario.seed}|{market.symbol}"
    past = list(chain.from_iterable(repeat(segment, segment.bars) for segment in market.segments))
    later = chain(chain.from_iterable(repeat(segment, segment.bars) for segment in market.after), repeat(market.segments[-1]))
    plan = [*past, *(segment for segment, _ in zip(later, range(ahead), strict=False))]
    # Past and future have chances of their own: a longer horizon changes nothing of what came before it.
    shocks = [*_chances(f"{key}|before", len(past)), *_chances(f"{key}|after", ahead)]
    price = float(market.price)
    decimals = max(2, _DIGITS - 1 - math.floor(math.log10(price)))
    instrument = _filtered(inferred_instrument(market.symbol, price=market.price, decimals=decimals), market)
    tick, first = float(instrument.tick_size), at - len(past) * timeframe.length
    bars, closes = [], max(1, round(price / tick))
    for number, (segment, chance) in enumerate(zip(plan, shocks, strict=True)):
        opens = closes
        closes = max(1, round(opens * max(_LEAST_GROWTH, 1 + segment.drift + segment.noise * chance[0])))
        bars.append(_bar(instrument, first + number * timeframe.length, opens, closes, segment, chance))
    return instrument, bars


def _chances(key: str, count: int) -> list[tuple[float, float, float, float]]:
    """For each bar: its move, how far its high and its low reach, and its volume; standard normal."""
    drawn = [stream(key, name).standard_normal(count).tolist() for name in ("move", "high", "low", "volume")]
    return list(zip(*drawn, strict=True))


def _bar(
    instrument: Instrument, at: datetime, opens: int, closes: int, segment: Segment, chance: tuple[float, float, float, float]
) -> Bar:
    _, up, down, busy = chance
    high = max(opens, closes, math.ceil(max(opens, closes) * (1 + segment.noise * abs(up) / 2)))
    low = max(1, min(opens, closes, math.floor(min(opens, closes) * (1 - segment.noise * abs(down) / 2))))
    lots = round(float(segment.volume) * math.exp(0.3 * busy) / float(instrument.lot_size))
    tick = instrument.tick_size
    return Bar(at, opens * tick, high * tick, low * tick, closes * tick, lots * instrument.lot_size)


def _shaken(bars: list[Bar], shock: Shock, at: datetime, timeframe: Timeframe, instrument: Instrument) -> list[Bar]:
    """The bars after a shock; `stale` and `scale` change nothing that trades."""
    where = at + shock.at * timeframe.length
    factor = ONE + Decimal(str(shock.size))
    match shock.kind:
        case "gap":
            return [_moved(bar, factor, instrument) if bar.opened_at >= where else bar for bar in bars]
        case "spike":
            return [_spiked(bar, factor, instrument) if bar.opened_at == where else bar for bar in bars]
        case "missing":
            until = where + shock.bars * timeframe.length
            return [bar for bar in bars if not where <= bar.opened_at < until]
        case _:
            return bars


def _moved(bar: Bar, factor: Decimal, instrument: Instrument) -> Bar:
    o, h, low, c = (
        max(instrument.tick_size, instrument.floor_price(p * factor)) for p in (bar.open, bar.high, bar.low, bar.close)
    )
    return replace(bar, open=o, high=h, low=low, close=c)


def _spiked(bar: Bar, factor: Decimal, instrument: Instrument) -> Bar:
    if factor >= 1:
        return replace(bar, high=max(bar.high, instrument.ceil_price(max(bar.open, bar.close) * factor)))
    reached = max(instrument.tick_size, instrument.floor_price(min(bar.open, bar.close) * factor))
    return replace(bar, low=min(bar.low, reached))


def _filtered(instrument: Instrument, market: Market) -> Instrument:
    return replace(instrument, min_notional=market.min_notional, maker_fee=market.taker_fee, taker_fee=market.taker_fee)


def _recorded(text: str) -> tuple[str, datetime]:
    """File and instant of `FILE@END`.

    Raises:
        ConfigurationError: it is not of that form.
    """
    name, _, end = text.rpartition("@")
    with suppress(ValueError, InvalidInput):
        at = utc(datetime.fromisoformat(end))
        if name and Path(name).name == name:
            return name, at
    raise ConfigurationError(f"recorded is {text!r}", not_done="No market was made", next_step="Write FILE@2020-03-12T10:00:00Z")


def _unusable(scenario: Scenario, why: str) -> ConfigurationError:
    return ConfigurationError(f"scenario {scenario.id!r}: {why}", not_done="It was not run", next_step="Mend the scenario")


def last_close(bars: Sequence[Bar], before: datetime) -> Decimal:
    """Close of the last bar that opened before an instant."""
    return next(bar.close for bar in reversed(bars) if bar.opened_at < before)

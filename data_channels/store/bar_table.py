"""The bars of a store: what is written, read and found missing."""

# ruff: noqa: S608  # statements are put together from words of this package alone; every value is an argument

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from data_channels.market.grid import floor_to_grid
from data_channels.market.series import Gap
from data_channels.store.base import BarKey, Span, Stored
from data_channels.store.numbers import instant, price, tidy
from data_channels.store.session import BAR_COLUMNS, EVER, Session, aware, number
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import InvalidInput, MarketDataError
from trading_core.domain.market import Bar, Timeframe

_PRICES = ("open", "high", "low", "close", "volume")
_SAME_KEY = "b.series = s.series AND b.opened_at = s.opened_at AND b.opened_at BETWEEN $1 AND $2"
_INSERT_NEW = f"""
    INSERT INTO timeseries.bars ({BAR_COLUMNS}) SELECT {BAR_COLUMNS} FROM staged_bars s
    WHERE NOT EXISTS (SELECT 1 FROM timeseries.bars b WHERE {_SAME_KEY})"""
_DIFFERING = f"""
    SELECT s.opened_at, {{exact}} FROM staged_bars s JOIN timeseries.bars b ON {_SAME_KEY}
    WHERE (s.open, s.high, s.low, s.close, s.volume) IS DISTINCT FROM (b.open, b.high, b.low, b.close, b.volume)
    ORDER BY s.opened_at LIMIT 1"""
_ID = "SELECT id FROM timeseries.bar_series WHERE venue = $1 AND symbol = $2 AND timeframe = $3"
_SPANS = """
    SELECT s.venue, s.symbol, s.timeframe, min(b.opened_at), max(b.opened_at), count(*)
    FROM timeseries.bars b JOIN timeseries.bar_series s ON s.id = b.series
    GROUP BY s.venue, s.symbol, s.timeframe ORDER BY s.venue, s.symbol, s.timeframe"""
_GAPS = """
    SELECT opened_at, following FROM (
        SELECT opened_at, lead(opened_at) OVER (ORDER BY opened_at) AS following FROM timeseries.bars WHERE series = $1
    ) AS each WHERE following > opened_at + $2 ORDER BY opened_at"""


async def put(session: Session, key: BarKey, bars: Sequence[Bar]) -> Stored:
    """See `Writing.put_bars`."""
    if not bars:
        return Stored()
    series = await _made(session, key)
    first, last, staged = await _stage(session, series, key, bars)
    written = await session.run(f"{_INSERT_NEW} {session.dialect.keep_first}", first, last)
    if written < staged:
        found = await _differing(session, first, last, bars)
        if found is not None:
            raise conflict(key, *found)
    return Stored(added=written, unchanged=len(bars) - written)


async def differing(session: Session, key: BarKey, bars: Sequence[Bar]) -> tuple[Bar, Bar] | None:
    """See `Writing.differing`."""
    series = await _id(session, key)
    if series is None or not bars:
        return None
    first, last, _ = await _stage(session, series, key, bars)
    return await _differing(session, first, last, bars)


def check(key: BarKey, bar: Bar) -> None:
    """Whether a bar can be kept.

    Raises:
        InvalidInput: it cannot.
    """
    _checked(key, bar)


def conflict(key: BarKey, given: Bar, kept: Bar) -> MarketDataError:
    """The error of a bar that is kept with other numbers."""
    return MarketDataError(
        f"the {key.timeframe} bar of {key.symbol} at {iso(given.opened_at)} is {_told(given)}, and is kept as {_told(kept)}",
        not_done="Nothing was stored",
        next_step=f"Find out which is right; prices from elsewhere than {key.venue} belong under a name of their own",
    )


async def closed(session: Session, key: BarKey, as_of: datetime, limit: int) -> tuple[Bar, ...]:
    """See `TimeSeriesStore.bars`."""
    if limit < 1:
        raise InvalidInput(f"a limit of {limit} bars asks for nothing", next_step="Ask for at least one")
    series = await _id(session, key)
    if series is None:
        return ()
    last, length = utc(as_of) - key.timeframe.length, key.timeframe.length
    sql = f"{_select(session)} AND b.opened_at <= $2 AND b.opened_at > $3 ORDER BY b.opened_at DESC LIMIT $4"
    # Where no bar is missing they lie within so many lengths, and neither database looks at all the others.
    rows = await session.rows(sql, series, last, last - limit * length, limit)
    if len(rows) < limit:
        rows = await session.rows(sql, series, last, EVER, limit)
    return tuple(_bar(row) for row in reversed(rows))


async def between(session: Session, key: BarKey, start: datetime, end: datetime) -> tuple[Bar, ...]:
    """See `TimeSeriesStore.bars_between`."""
    series = await _id(session, key)
    if series is None:
        return ()
    sql = f"{_select(session)} AND b.opened_at > $2 AND b.opened_at <= $3 ORDER BY b.opened_at"
    rows = await session.rows(sql, series, utc(start) - key.timeframe.length, utc(end) - key.timeframe.length)
    return tuple(map(_bar, rows))


async def gaps(session: Session, key: BarKey) -> tuple[Gap, ...]:
    """See `TimeSeriesStore.gaps`."""
    series, length = await _id(session, key), key.timeframe.length
    found: list[Gap] = []
    for opened_at, following in [] if series is None else await session.rows(_GAPS, series, length):
        start, end = aware(opened_at) + length, aware(following)
        found.append(Gap(start, end, (end - start) // length))
    return tuple(found)


async def spans(session: Session) -> tuple[Span[BarKey], ...]:
    """See `TimeSeriesStore.bar_spans`."""
    return tuple(
        Span(BarKey(venue, symbol, timeframe := Timeframe(code)), aware(start), aware(last) + timeframe.length, count, count)
        for venue, symbol, code, start, last, count in await session.rows(_SPANS)
    )


async def remove(session: Session, before: datetime) -> int:
    """Remove the bars that opened before an instant; how many that were."""
    at_one_stroke = await session.drop_whole("bars", before)
    return at_one_stroke + await session.run("DELETE FROM timeseries.bars WHERE opened_at < $1", before)


async def _stage(session: Session, series: int, key: BarKey, bars: Sequence[Bar]) -> tuple[datetime, datetime, int]:
    """Stage checked bars; the first and the last open, and how many different bars there are."""
    different: dict[datetime, Bar] = {}
    for bar in bars:
        twice = different.setdefault(instant(bar.opened_at, f"the open of a bar of {key.symbol}"), bar)
        if twice != bar:
            raise conflict(key, bar, twice)
    await session.make_room("bars", different)
    await session.stage("bars", [(series, at, *_checked(key, bar)) for at, bar in different.items()])
    return min(different), max(different), len(different)


async def _differing(session: Session, first: datetime, last: datetime, bars: Sequence[Bar]) -> tuple[Bar, Bar] | None:
    exact = ", ".join(session.dialect.exact.format(f"b.{name}") for name in _PRICES)
    for row in await session.rows(_DIFFERING.format(exact=exact), first, last):
        kept = _bar(row)
        return next(bar for bar in bars if bar.opened_at == kept.opened_at), kept
    return None


def _checked(key: BarKey, bar: Bar) -> tuple[object, ...]:
    at = f"the {key.timeframe} bar of {key.symbol} at {iso(bar.opened_at)}"
    offence = bar.inconsistency()
    if offence is None and floor_to_grid(bar.opened_at, key.timeframe) != bar.opened_at:
        offence = f"no {key.timeframe} bar opens then"
    if offence is not None:
        raise InvalidInput(f"{at} cannot be: {offence}", not_done="Nothing was stored", next_step="Mend or leave it out")
    return tuple(tidy(price(getattr(bar, name), f"the {name} of {at}")) for name in _PRICES)


async def _id(session: Session, key: BarKey) -> int | None:
    rows = await session.rows(_ID, key.venue, key.symbol, key.timeframe.code)
    return int(rows[0][0]) if rows else None


async def _made(session: Session, key: BarKey) -> int:
    if not all(part and part.isprintable() for part in (key.venue, key.symbol)):
        raise InvalidInput(f"{key.venue!r} and {key.symbol!r} do not name a market", not_done="Nothing was stored")
    series = await _id(session, key)
    if series is not None:
        return series
    names = (key.venue, key.symbol, key.timeframe.code)
    await session.run(
        "INSERT INTO timeseries.bar_series (venue, symbol, timeframe) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", *names
    )
    return int((await session.rows(_ID, *names))[0][0])  # from here, or from a writer who was ahead


def _select(session: Session) -> str:
    exact = ", ".join(session.dialect.exact.format(f"b.{name}") for name in _PRICES)
    return f"SELECT b.opened_at, {exact} FROM timeseries.bars b WHERE b.series = $1"


def _bar(row: Sequence[Any]) -> Bar:
    opened_at, *prices = row
    return Bar(aware(opened_at), *map(number, prices))


def _told(bar: Bar) -> str:
    return f"{tidy(bar.open)} {tidy(bar.high)} {tidy(bar.low)} {tidy(bar.close)} with volume {tidy(bar.volume)}"

"""The readings of a store: what is written, read and folded."""

# ruff: noqa: S608  # statements are put together from words of this package alone; every value is an argument

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from data_channels.store.base import ReadingKey, Span, Stored, Summary
from data_channels.store.numbers import instant, measured, tidy, whole
from data_channels.store.retention import Row, Step, fold
from data_channels.store.session import EVER, READING_COLUMNS, SLACK, Session, aware, number
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Reading

_STAGED = 20_000  # rows folded in one transaction: more only take memory
_RECENT = timedelta(days=7)  # looked at first: blocks and partitions of other times are then left alone
_SAME_KEY = "r.series = s.series AND r.published_at = s.published_at AND r.observed_at = s.observed_at"

_DROP_FOLDED = """
    DELETE FROM staged_readings s USING timeseries.folds f
    WHERE f.series = s.series AND f.step = {step} AND f.opened_at = date_trunc('{unit}', s.published_at)"""
# The bounds say again what the key says, so that neither database looks at other months.
_DELETE_OTHERS = f"""
    DELETE FROM timeseries.readings r USING staged_readings s
    WHERE {_SAME_KEY} AND r.published_at BETWEEN $1 AND $2 AND
        (r.value, r.unit, r.quality, r.count, r.spread) IS DISTINCT FROM (s.value, s.unit, s.quality, s.count, s.spread)"""
_INSERT_NEW = f"""
    INSERT INTO timeseries.readings ({READING_COLUMNS}) SELECT {READING_COLUMNS} FROM staged_readings s WHERE NOT EXISTS
        (SELECT 1 FROM timeseries.readings r WHERE {_SAME_KEY} AND r.published_at BETWEEN $1 AND $2)"""
_INSERT = f"INSERT INTO timeseries.readings ({READING_COLUMNS}) SELECT {READING_COLUMNS} FROM staged_readings"
_SELECT = f"""
    SELECT {READING_COLUMNS.removeprefix("series, ")} FROM timeseries.readings
    WHERE series = $1 AND {{where}} ORDER BY published_at, observed_at"""
_SPANS = """
    SELECT s.source, s.symbol, s.name, min(r.published_at), max(r.published_at), CAST(sum(r.merged) AS BIGINT), count(*)
    FROM timeseries.readings r JOIN timeseries.reading_series s ON s.id = r.series
    GROUP BY s.source, s.symbol, s.name ORDER BY s.source, s.symbol, s.name"""


async def put(session: Session, readings: Sequence[Reading]) -> Stored:
    """See `Writing.put`. Of two under one key in the same call the last counts."""
    if not readings:
        return Stored()
    ids = await _ids(session, {_key(reading) for reading in readings})
    rows: dict[tuple[object, ...], tuple[object, ...]] = {}
    for reading in readings:
        row = _row(ids[_key(reading)], reading)
        rows[row[:3]] = row
    published = [utc(reading.published_at) for reading in readings]
    first, last = min(published), max(published)
    await session.make_room("readings", published)
    await session.stage("readings", list(rows.values()))
    folded = await session.run(_DROP_FOLDED.format(step=int(Step.HOUR), unit="hour"))
    folded += await session.run(_DROP_FOLDED.format(step=int(Step.DAY), unit="day"))
    replaced = await session.run(_DELETE_OTHERS, first, last)
    written = await session.run(f"{_INSERT_NEW} {session.dialect.keep_first}", first, last)
    return Stored(
        added=written - replaced,
        replaced=replaced,
        unchanged=len(readings) - folded - written,  # what was given twice is there already the second time
        folded=folded,
    )


def check(reading: Reading) -> None:
    """Whether a reading can be kept.

    Raises:
        InvalidInput: it cannot.
    """
    _check_names(_key(reading))
    _row(0, reading)


async def newest(session: Session, symbol: str, as_of: datetime) -> tuple[Reading, ...]:
    """See `TimeSeriesStore.newest`."""
    now = utc(as_of)
    since = now - _RECENT
    found = await session.rows(session.dialect.newest, symbol, now, since)
    ((series,),) = await session.rows("SELECT count(*) FROM timeseries.reading_series WHERE symbol = $1", symbol)
    # Usually all have spoken lately. A series that has not may have before; and one that only told of older times lately may
    # have told of newer ones before that.
    if len(found) < series or any(aware(row[4]) <= since + SLACK for row in found):
        found = await session.rows(session.dialect.newest, symbol, now, EVER)
    return tuple(_reading(ReadingKey(source, symbol, name), _parsed(row)) for source, _, name, *row in found)


async def between(session: Session, key: ReadingKey, start: datetime, as_of: datetime) -> tuple[Summary, ...]:
    """What was published in `(start, as_of]`, oldest first."""
    known = await _known(session, [key])
    if key not in known:
        return ()
    sql = _SELECT.format(where="published_at > $2 AND published_at <= $3")
    rows = [_parsed(row) for row in await session.rows(sql, known[key], utc(start), utc(as_of))]
    return tuple(Summary(_reading(key, row), row.merged, row.total, row.low, row.high) for row in rows)


async def spans(session: Session) -> tuple[Span[ReadingKey], ...]:
    """See `TimeSeriesStore.reading_spans`."""
    return tuple(
        Span(ReadingKey(source, symbol, name), aware(start), aware(end), count, rows)
        for source, symbol, name, start, end, count, rows in await session.rows(_SPANS)
    )


async def to_fold(session: Session, step: Step, before: datetime) -> list[int]:
    """The series, by the number the store gave them, that have rows finer than `step` before an instant."""
    sql = "SELECT DISTINCT series FROM timeseries.readings WHERE step < $1 AND published_at < $2 ORDER BY series"
    return [row[0] for row in await session.rows(sql, int(step), before)]


async def fold_some(session: Session, series: int, step: Step, before: datetime) -> int | None:
    """Fold the oldest rows of a series that are finer than `step` and lie before an instant on its grid.

    Returns:
        By how many the rows became fewer; None when nothing is left to fold.
    """
    rows = await _oldest(session, series, step, before)
    if not rows:
        return None
    made = list(fold(rows, step))
    start, end = step.floor(rows[0].published_at), step.floor(rows[-1].published_at) + timedelta(seconds=step)
    await session.run(
        "DELETE FROM timeseries.readings WHERE series = $1 AND step < $2 AND published_at >= $3 AND published_at < $4",
        *(series, int(step), start, end),
    )
    await session.run(
        "DELETE FROM timeseries.folds WHERE series = $1 AND step < $2 AND opened_at >= $3 AND opened_at < $4",
        *(series, int(step), start, end),
    )
    await session.stage("readings", [_folded(series, row) for row in made])
    await session.run(_INSERT)
    unit = step.name.lower()
    await session.run(
        "INSERT INTO timeseries.folds (series, opened_at, step) "
        f"SELECT series, date_trunc('{unit}', published_at), step FROM staged_readings"
    )
    return len(rows) - len(made)


async def remove(session: Session, before: datetime) -> int:
    """Remove what was published before an instant; how many rows that were."""
    at_one_stroke = await session.drop_whole("readings", before)
    await session.run("DELETE FROM timeseries.folds WHERE opened_at < $1", before - timedelta(seconds=Step.DAY))
    return at_one_stroke + await session.run("DELETE FROM timeseries.readings WHERE published_at < $1", before)


async def _oldest(session: Session, series: int, step: Step, before: datetime) -> list[Row]:
    """Rows to fold, of whole hours or days."""
    limit = _STAGED
    while True:
        sql = _SELECT.format(where="step < $2 AND published_at < $3") + f" LIMIT {limit}"
        rows = [_parsed(row) for row in await session.rows(sql, series, int(step), before)]
        if len(rows) < limit:
            return rows
        cut_off = step.floor(rows[-1].published_at)
        complete = [row for row in rows if row.published_at < cut_off]
        if complete:
            return complete
        limit *= 2


async def _ids(session: Session, keys: set[ReadingKey]) -> dict[ReadingKey, int]:
    known = await _known(session, keys)
    missing = sorted(keys - known.keys())
    for key in missing:
        _check_names(key)
        await session.run(
            "INSERT INTO timeseries.reading_series (source, symbol, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            *(key.source, key.symbol, key.name),
        )
    return known | (await _known(session, missing) if missing else {})


async def _known(session: Session, keys: Iterable[ReadingKey]) -> dict[ReadingKey, int]:
    symbols = sorted({key.symbol for key in keys})
    sql = "SELECT source, symbol, name, id FROM timeseries.reading_series WHERE symbol = ANY($1)"
    return {ReadingKey(source, symbol, name): id_ for source, symbol, name, id_ in await session.rows(sql, symbols)}


def _check_names(key: ReadingKey) -> None:
    for what, text in (("source", key.source), ("symbol", key.symbol), ("name", key.name)):
        if not text or not text.isprintable():
            raise InvalidInput(f"the {what} of a reading is {text!r}", not_done="Nothing was stored", next_step="Name it")


def _key(reading: Reading) -> ReadingKey:
    return ReadingKey(reading.source, reading.symbol, reading.name)


def _row(series: int, reading: Reading) -> tuple[object, ...]:
    about = f"{reading.name} of {reading.symbol} from {reading.source}"
    spread = None if reading.spread is None else tidy(measured(reading.spread, f"the spread of {about}"))
    if not reading.unit.isprintable():
        raise InvalidInput(f"the unit of {about} is {reading.unit!r}", not_done="Nothing was stored")
    values = (tidy(measured(reading.value, about)), reading.unit, tidy(measured(reading.quality, f"the quality of {about}")))
    times = (
        instant(reading.published_at, f"published_at of {about}"),
        instant(reading.observed_at, f"observed_at of {about}"),
    )
    if times[1] - times[0] > SLACK:
        raise InvalidInput(
            f"{about} is said to be of {iso(times[1])} and was published at {iso(times[0])}, before it was so",
            not_done="Nothing was stored",
            next_step="Mend its times: both are instants, and observed_at is the earlier",
        )
    count = whole(reading.count, f"the count of {about}")
    return (series, *times, *values, count, spread, int(Step.RAW), 1, None, None, None)


def _folded(series: int, row: Row) -> tuple[object, ...]:
    values = (row.value, row.unit, row.quality, row.count, row.spread)
    return (series, row.published_at, row.observed_at, *values, int(row.step), row.merged, tidy(row.total), row.low, row.high)


def _parsed(row: Sequence[Any]) -> Row:
    published_at, observed_at, value, unit, quality, count, spread, step, merged, total, low, high = row
    exact = number(value)
    return Row(
        published_at=aware(published_at),
        observed_at=aware(observed_at),
        value=exact,
        unit=unit,
        quality=number(quality),
        count=count,
        spread=None if spread is None else number(spread),
        step=Step(step),
        merged=merged,
        total=exact if total is None else number(total),
        low=exact if low is None else number(low),
        high=exact if high is None else number(high),
    )


def _reading(key: ReadingKey, row: Row) -> Reading:
    return Reading(
        source=key.source,
        symbol=key.symbol,
        name=key.name,
        value=row.value,
        unit=row.unit,
        observed_at=row.observed_at,
        published_at=row.published_at,
        quality=row.quality,
        count=row.count,
        spread=row.spread,
    )

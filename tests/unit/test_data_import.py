"""Files go into the store whole or not at all, and an import that was killed goes on."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_channels.market.bar_files import read_bars
from data_channels.store.base import BarKey, Stored
from data_channels.store.duckdb_store import DuckDbStore
from data_channels.store.importer import Imported, Progress, files_in, import_file
from tests.unit.timeseries_cases import BTC, HOUR, KEY, T0, at
from trading_core.domain.clock import iso, to_ms
from trading_core.domain.errors import BadMarketFile, InvalidInput
from trading_core.domain.market import Bar, Timeframe

D = Decimal
FAR = at(1e6)
HEADER = "ts,open,high,low,close,volume"
READINGS = "source,symbol,name,value,unit,observed_at,published_at"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    async with await DuckDbStore.open(tmp_path / "series.duckdb") as store:
        yield store


def line(hour: int, close: str = "100.50", volume: str = "3.25") -> str:
    return f"{to_ms(at(60 * hour))},100.5,101,99,{close},{volume}"


def csv(path: Path, *lines: str, header: str = HEADER) -> Path:
    text = "".join(f"{each}\n" for each in (header, *lines))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


async def taken(store: DuckDbStore, path: Path, venue: str | None = None) -> Imported:
    return await import_file(store, path, venue=venue, tell=lambda progress: None)


def as_csv(path: Path) -> Path:
    return csv(path.with_name("binance_BTCUSDT_1h.csv"), *(line(hour) for hour in range(3)))


def as_gz(path: Path) -> Path:
    return csv(path.with_name("binance_BTC-USDT-1h.csv.gz"), *(line(hour) for hour in range(3)))


def as_windows_csv(path: Path) -> Path:
    made = as_csv(path)
    made.write_bytes(b"\xef\xbb\xbf" + made.read_bytes().replace(b"\n", b"\r\n"))
    return made


def as_parquet(path: Path) -> Path:
    rows = [(to_ms(at(60 * hour)), 100.5, 101.0, 99.0, 100.5, 3.25) for hour in range(3)]
    columns = dict(zip(HEADER.split(","), zip(*rows, strict=True), strict=True))
    made = path.with_name("binance_BTCUSDT_1h.parquet")
    pq.write_table(pa.table({name: list(column) for name, column in reversed(columns.items())}), made)
    return made


@pytest.mark.parametrize("make", [as_csv, as_gz, as_windows_csv, as_parquet])
async def test_bars_of_every_kind_of_file(store: DuckDbStore, tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "x")
    assert await taken(store, path) == Imported(path, KEY, Stored(added=3))
    assert list(await store.bars_between(KEY, start=T0, end=FAR)) == read_bars(path, HOUR)


@pytest.mark.parametrize(
    ("name", "venue", "key"),
    [
        ("kraken_BTCUSDT_1h.csv", None, BarKey("kraken", BTC, HOUR)),
        ("kraken_BTCUSDT_1h.csv", "mine", BarKey("mine", BTC, HOUR)),
        ("BTC-USDT_1h.csv", "okx", BarKey("okx", BTC, HOUR)),
        ("BTCUSDT_30m.csv", "okx", BarKey("okx", BTC, Timeframe("30m"))),
    ],
)
async def test_whose_bars_they_are(store: DuckDbStore, tmp_path: Path, name: str, venue: str | None, key: BarKey) -> None:
    assert (await taken(store, csv(tmp_path / name, line(0)), venue)).series == key


async def test_readings_with_what_is_left_out(store: DuckDbStore, tmp_path: Path) -> None:
    path = csv(
        tmp_path / "readings.csv.gz",
        f"fng,BTC/USDT,greed,71,points,{iso(T0)},2024-01-31T21:00:00+01:00,,,",
        f"x,BTC/USDT,score,-0.25,score,{iso(T0)},{iso(at(1))},0.85,41,0.125",
        header=READINGS + ",quality,count,spread",
    )
    assert await taken(store, path) == Imported(path, None, Stored(added=2))
    greed, score = await store.newest(BTC, as_of=at(1))
    assert (greed.value, greed.published_at, greed.quality, greed.count, greed.spread) == (71, T0, 1, 1, None)
    assert (score.value, score.quality, score.count, score.spread) == (D("-0.25"), D("0.85"), 41, D("0.125"))


async def test_readings_from_parquet(store: DuckDbStore, tmp_path: Path) -> None:
    path = tmp_path / "readings.parquet"
    rows = 25_000
    times = pa.array([at(minute) for minute in range(rows)], pa.timestamp("ns", tz="Europe/Berlin"))
    table = pa.table(
        {
            "Source": pa.array(["fng"] * rows).dictionary_encode(),
            "symbol": [BTC] * rows,
            "name": ["greed"] * rows,
            "value": [number / 10 for number in range(rows)],
            "unit": ["points"] * rows,
            "observed_at": times,
            "published_at": times,
            "spread": pa.array([None] * rows, pa.float64()),
        }
    )
    pq.write_table(table, path)
    seen: list[Progress] = []
    assert (await import_file(store, path, venue=None, tell=seen.append)).stored == Stored(added=rows)
    assert [(each.rows, each.done) for each in seen] == [(10_000, 0.4), (20_000, 0.8), (25_000, 1.0)]
    (newest,) = await store.newest(BTC, as_of=at(123))
    assert (newest.value, newest.published_at, newest.spread) == (D("12.3"), at(123), None)


@pytest.mark.parametrize(
    ("lines", "where", "said"),
    [
        ([line(0), line(1, close="99.5x")], 3, "close is '99.5x', which is not a finite number"),
        ([line(0), line(1, volume="nan")], 3, "volume is 'nan'"),
        (
            [line(0), line(1, volume="0.0000000000000000001")],
            3,
            "the volume of the 1h bar .* more than 20 digits before the point",
        ),
        ([line(0), line(0)], 3, "repeats the one above it"),
        ([line(0), "", line(1)], 3, "the line is empty"),
        ([line(0), line(1) + ",7"], 3, "it has 7 columns, not 6"),
        ([line(0), line(1).replace(",99,", ",102,")], 3, "do not lie between"),
        ([line(hour) for hour in range(10_050)] + ["x"], 10_052, "it has 1 columns, not 6"),
        ([], 0, "it holds no bars"),
    ],
)
async def test_a_bad_line_is_named_and_nothing_of_its_file_is_kept(
    store: DuckDbStore, tmp_path: Path, lines: list[str], where: int, said: str
) -> None:
    path = csv(tmp_path / "binance_BTCUSDT_1h.csv", *lines)
    with pytest.raises(BadMarketFile, match=said) as refused:
        await taken(store, path)
    assert (refused.value.path, refused.value.line) == (str(path), where)
    assert await store.bar_spans() == ()
    mended = csv(path, line(0), line(1))
    assert (await taken(store, mended)).stored == Stored(added=2)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("fng,BTC/USDT,greed,high,points,{t},{t}", "line 3: value is 'high', which is not a finite number"),
        (
            "fng,BTC/USDT,greed,1,points,{t},2024-01-31T21:00:00",
            "line 3: published_at is '2024-01-31T21:00:00', which is no time",
        ),
        ("fng,BTC/USDT,greed,1,points,1706731200000,{t}", "line 3: observed_at is '1706731200000', which is no time"),
        (",BTC/USDT,greed,1,points,{t},{t}", "line 3: source is empty"),
        ("fng,BTC/USDT,greed,1e41,points,{t},{t}", "line 3: greed of BTC/USDT from fng is 1E.41, which has more than 40 digits"),
        ("fng,BTC/USDT,greed,1,points,2024-03-01T00:00Z,{t}", "line 3: .* before it was so"),
        ("fng,BTC\tUSDT,greed,1,points,{t},{t}", "line 3: the symbol of a reading is"),
        ("fng,BTC/USDT,greed,1,{t},{t}", "line 3: it has 6 columns, not 7"),
    ],
)
async def test_a_bad_reading_is_named_with_its_line(store: DuckDbStore, tmp_path: Path, row: str, said: str) -> None:
    good = f"fng,BTC/USDT,greed,1,points,{iso(T0)},{iso(T0)}"
    path = csv(tmp_path / "readings.csv", good, row.format(t=iso(T0)), header=READINGS)
    with pytest.raises(InvalidInput, match=said):
        await taken(store, path)
    assert await store.reading_spans() == ()


async def test_a_bar_that_is_kept_with_other_numbers_is_named_with_its_line(store: DuckDbStore, tmp_path: Path) -> None:
    await taken(store, csv(tmp_path / "binance_BTCUSDT_1h.csv", line(5)))
    other = csv(tmp_path / "binance_BTC_USDT_1h.csv", *(line(hour, volume="9" if hour == 5 else "3.25") for hour in range(10)))
    with pytest.raises(
        BadMarketFile, match=r"its bar at 2024-02-01T01:00:00Z is not the one kept .*volume 9 and not 3\.25"
    ) as refused:
        await taken(store, other)
    assert refused.value.line == 7
    (span,) = await store.bar_spans()
    assert span.count == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.csv", b"a,b\n1,2\n", "its columns are a, b, which are neither those of bars nor of readings"),
        ("notes.csv", READINGS.replace("unit", "units").encode(), "neither those of bars nor of readings"),
        ("BTCUSDT_1h.csv", HEADER.encode(), "does not say whose bars they are"),
        ("binance.csv", HEADER.encode(), "its name does not say a market and a timeframe"),
        ("binance_BTCUSDT_1h.csv.gz", b"no gzip", "it cannot be read"),
        (
            "binance_BTCUSDT_1h.csv.gz",
            gzip.compress("\n".join([HEADER, *map(line, range(999))]).encode())[:-40],
            "it cannot be read",
        ),
        ("binance_BTCUSDT_1h.parquet", b"PAR1 no parquet PAR1", "it cannot be read"),
        ("binance_BTCUSDT_1h.csv", b"\xff\xfe\x00", "it is not text"),
        ("binance_BTCUSDT_1h.csv", f"{HEADER}\n{line(0)}\n".encode() + b"\xff", "it is not text"),
        ("readings.csv", READINGS.encode(), "it holds no readings"),
    ],
)
async def test_what_is_no_file_to_import_is_told(
    store: DuckDbStore, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((InvalidInput, BadMarketFile), match=said) as refused:
        await taken(store, tmp_path / name)
    assert name in str(refused.value)
    assert await store.bar_spans() == ()


async def test_the_same_content_is_not_read_again_and_the_same_bars_are_there_already(store: DuckDbStore, tmp_path: Path) -> None:
    path = csv(tmp_path / "binance_BTCUSDT_1h.csv", line(0), line(1))
    await taken(store, path)
    assert await taken(store, path) == Imported(path, KEY, Stored(), known=True)
    longer = csv(path, line(0), line(1), line(2))
    assert (await taken(store, longer)).stored == Stored(added=1, unchanged=2)
    elsewhere = await taken(store, longer, "kraken")  # the same content means something else
    assert (elsewhere.known, elsewhere.stored) == (False, Stored(added=3))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from data_channels.store.importer import files_in, import_file
from data_channels.store.open import open_store

def tell(progress):
    if progress.path.name.startswith("binance_ETH") and progress.rows >= 10_000:
        os.kill(os.getpid(), signal.SIGKILL)

async def work():
    async with await open_store(sys.argv[1]) as store:
        for path in files_in(Path(sys.argv[2])):
            await import_file(store, path, venue=None, tell=tell)

asyncio.run(work())
"""


async def test_an_import_that_was_killed_goes_on_with_the_file_it_was_at(tmp_path: Path) -> None:
    files, database = tmp_path / "files", tmp_path / "series.duckdb"
    files.mkdir()
    for name in ("BTC", "ETH", "SOL"):
        csv(files / f"binance_{name}USDT_1h.csv", *(line(hour) for hour in range(100 if name != "ETH" else 11_000)))
    killed = subprocess.run([sys.executable, "-c", KILLED, database, files], check=False)  # noqa: ASYNC221 - nothing else is to run meanwhile
    assert killed.returncode == -signal.SIGKILL
    async with await DuckDbStore.open(database) as store:
        assert [(span.key.symbol, span.count) for span in await store.bar_spans()] == [(BTC, 100)]
        done = [await taken(store, path) for path in files_in(files)]
        assert [(each.known, each.stored.added) for each in done] == [(True, 0), (False, 11_000), (False, 100)]


def test_what_is_found_in_a_folder(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "c.csv.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files_in(tmp_path)] == ["a.parquet", "b.csv", "c.csv.gz"]
    assert files_in(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    for nothing in (tmp_path / "absent", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InvalidInput, match="Nothing was imported"):
            files_in(nothing)


CELLS = st.sampled_from(["100.5", "99", "1e2", "+1", "-1", "1_0", "٣", "", " 1", "inf", "0", "1" * 20, "1." + "0" * 24, '"1"'])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(CELLS, min_size=5, max_size=5)), min_size=1, max_size=3))
async def test_the_importer_takes_what_history_takes(
    store: DuckDbStore, tmp_path: Path, rows: list[tuple[int, list[str]]]
) -> None:
    """Both read the same files: what one refuses, the other does not keep."""
    path = csv(tmp_path / "binance_BTCUSDT_1h.csv", *(f"{to_ms(at(60 * hour))},{','.join(cells)}" for hour, cells in rows))
    venue = f"v{abs(hash(path.read_bytes()))}"
    offences: list[BadMarketFile | None] = [None, None]
    expected: list[Bar] = []
    for number in range(2):
        try:
            if number:
                await taken(store, path, venue)
            else:
                expected = read_bars(path, HOUR)
        except BadMarketFile as error:
            offences[number] = error
    first, second = offences
    assert (first and first.line) == (second and second.line)
    assert list(await store.bars_between(BarKey(venue, BTC, HOUR), start=T0, end=FAR)) == expected


async def test_the_real_hourly_file_with_its_gaps(store: DuckDbStore, shared_data: Path) -> None:
    path = shared_data / "ohlcv" / "binance_BTCUSDT_1h.csv.gz"
    assert (await taken(store, path)).stored == Stored(added=58_419)
    gaps = await store.gaps(KEY)
    longest = max(gaps, key=lambda gap: gap.missing)
    assert (longest.missing, longest.end - longest.start, iso(longest.start)) == (33, timedelta(hours=33), "2018-02-08T01:00:00Z")
    (span,) = await store.bar_spans()
    assert span.count + sum(gap.missing for gap in gaps) == (span.end - span.start) // timedelta(hours=1)
    (top,) = [bar for bar in await store.bars_between(KEY, start=span.start, end=span.end) if bar.high == D("19798.68")]
    assert f"{top.opened_at:%Y-%m-%d}" == "2017-12-17"

"""Files of bars: what is read, what is refused and where, and that filters come from the first bar alone."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.market.bar_files import read_bars
from data_channels.market.file_names import parse_name
from data_channels.market.filters import inferred_instrument, price_decimals
from data_channels.market.history import HistoryFeed
from trading_core.domain.errors import BadMarketFile, UnknownSymbol
from trading_core.domain.instruments import FeeCurrency
from trading_core.domain.market import Bar, MarketFeed, Timeframe

HOUR, DAY = Timeframe("1h"), Timeframe("1d")
HEADER = "ts,open,high,low,close,volume"
T0 = datetime(2024, 1, 1, tzinfo=UTC)
MS0 = 1_704_067_200_000
STEP = 3_600_000


def row(index: int, prices: str = "100.5,110,90.25,105,12.5") -> str:
    return f"{MS0 + index * STEP},{prices}"


def write(folder: Path, lines: list[str], name: str = "binance_BTCUSDT_1h.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join([*lines, ""]).encode())
    return path


def refusal(path: Path, timeframe: Timeframe = HOUR) -> tuple[int, str]:
    with pytest.raises(BadMarketFile) as caught:
        read_bars(path, timeframe)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value.line, caught.value.reason


def test_prices_are_exactly_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, [HEADER, row(0, "0.10,0.30,1e-05,0.2,0"), row(1)])
    assert read_bars(path, HOUR) == [
        Bar(T0, Decimal("0.10"), Decimal("0.30"), Decimal("0.00001"), Decimal("0.2"), Decimal(0)),
        Bar(T0 + HOUR.length, Decimal("100.5"), Decimal(110), Decimal("90.25"), Decimal(105), Decimal("12.5")),
    ]


def test_gzip_windows_line_ends_and_a_byte_order_mark_are_read_alike(tmp_path: Path) -> None:
    plain = read_bars(write(tmp_path, [HEADER, row(0), row(1)]), HOUR)
    zipped = tmp_path / "BTC-USDT_1h.csv.gz"
    zipped.write_bytes(gzip.compress(b"\xef\xbb\xbf" + "\r\n".join([HEADER, row(0), row(1)]).encode()))
    assert read_bars(zipped, HOUR) == plain


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        (["time,open,high,low,close,volume", row(0)], 1, "the header is 'time,open"),
        ([row(0), row(1)], 1, "the header is"),
        ([""], 1, "the header is ''"),
        ([HEADER], 0, "holds no bars"),
        ([HEADER, row(0), row(1) + ",7"], 3, "it has 7 columns, not 6"),
        ([HEADER, row(0), "17040"], 3, "it has 1 columns"),
        ([HEADER, row(0), "", row(1)], 3, "the line is empty"),
        ([HEADER, row(0, "100,110,90,abc,1")], 2, "close is 'abc', which is not a finite number"),
        ([HEADER, row(0, "100,NaN,90,100,1")], 2, "high is 'NaN', which is not a finite number"),
        ([HEADER, row(0, "100,110,90,100,inf")], 2, "volume is 'inf'"),
        ([HEADER, row(0, "1_00,110,90,100,1")], 2, "open is '1_00'"),
        ([HEADER, row(0, "100,110,90,100,")], 2, "volume is ''"),
        ([HEADER, row(0, "100,110,90,100,1e999999999")], 2, "volume is '1e999999999'"),
        ([HEADER, row(0, "100,110,90,1٠0,1")], 2, "close is '1٠0'"),
        ([HEADER, "2024-01-01,100,110,90,100,1"], 2, "ts is '2024-01-01', which is not a whole number of ms"),
        ([HEADER, f"{MS0}.0,100,110,90,100,1"], 2, "not a whole number of ms"),
        ([HEADER, f"{MS0 // 1000},100,110,90,100,1"], 2, "not lie between 2009 and 2100 when read as ms"),
        ([HEADER, f"{MS0 * 1000},100,110,90,100,1"], 2, "not lie between 2009 and 2100 when read as ms"),
        ([HEADER, f"{MS0 + 1},100,110,90,100,1"], 2, "is not where a 1h bar opens"),
        ([HEADER, row(0), row(1), row(1)], 4, "repeats the one above it"),
        ([HEADER, row(0), row(5), row(2)], 4, "is before the one above it"),
        ([HEADER, row(0), row(1, "100,99,90,95,1")], 3, "do not lie between low 90 and high 99"),
        ([HEADER, row(0, "100,110,0,95,1")], 2, "low 0 is not above zero"),
        ([HEADER, row(0, "100,110,90,95,-1")], 2, "volume -1 is below zero"),
    ],
)
def test_the_first_offence_is_named_with_its_line(tmp_path: Path, lines: list[str], line: int, says: str) -> None:
    found, reason = refusal(write(tmp_path, lines))
    assert (found, says in reason) == (line, True), reason


def test_files_that_cannot_be_read_are_refused_whole(tmp_path: Path) -> None:
    good = gzip.compress("\n".join([HEADER, *(row(i) for i in range(500))]).encode())
    for name, content, says in [
        ("a_1h.csv", b"", "the header is ''"),
        ("b_1h.csv", b"\xff\xfe\x00t", "not text"),
        ("c_1h.csv.gz", good[: len(good) // 2], "cannot be read"),
        ("d_1h.csv.gz", b"not gzip at all", "cannot be read"),
        ("e_1h.csv.gz", good[:40] + b"\x00" * 40 + good[80:], "cannot be read"),
        ("f_1h.parquet", b"PAR1 and nothing else", "cannot be read"),
        ("g_1h.parquet", b"", "cannot be read"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        line, reason = refusal(path)
        assert line <= 1
        assert says in reason, (name, reason)
    assert refusal(tmp_path / "absent_1h.csv") == (0, "it cannot be read: No such file or directory")


@given(st.binary(max_size=200))
def test_no_content_whatever_gets_past_as_another_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "BTC-USDT_1h.csv"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    try:
        bars = read_bars(path, HOUR)
    except BadMarketFile:
        return
    assert bars


def test_parquet_gives_back_the_prices_that_were_written(tmp_path: Path) -> None:
    prices = {
        "open": [0.1, 4261.48],
        "high": [0.3, 4300.0],
        "low": [1e-05, 4200.1],
        "close": [0.2, 4285.08],
        "volume": [7.0, 0.0],
    }
    path = tmp_path / "BTC-USDT_1h.parquet"
    pq.write_table(pa.table({"ts": [MS0, MS0 + STEP], **prices}), path)
    bars = read_bars(path, HOUR)
    assert [bar.open for bar in bars] == [Decimal("0.1"), Decimal("4261.48")]
    assert bars[0].low == Decimal("0.00001")

    exact = {name: pa.array(map(Decimal, map(repr, values)), pa.decimal128(20, 8)) for name, values in prices.items()}
    pq.write_table(pa.table({**exact, "ts": [MS0, MS0 + STEP]}), path)
    assert read_bars(path, HOUR) == bars


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        ({"extra": [1.0, 1.0]}, 0, "its columns are"),
        ({"ts": ["a", "b"]}, 0, "column ts is string, not int64"),
        ({"open": pa.array([100, 100], pa.float32())}, 0, "column open is float, not float64 or decimal"),
        ({"close": [100.0, None]}, 2, "a value is missing"),
        ({"volume": [1.0, float("inf")]}, 2, "not finite"),
        ({"ts": [MS0, MS0]}, 2, "repeats"),
    ],
)
def test_parquet_offences_are_named_with_their_row(tmp_path: Path, change: dict[str, object], line: int, says: str) -> None:
    table = {"ts": [MS0, MS0 + STEP], "open": [100.0] * 2, "high": [110.0] * 2, "low": [90.0] * 2, "close": [100.0] * 2}
    path = tmp_path / "BTC-USDT_1h.parquet"
    pq.write_table(pa.table({**table, "volume": [1.0] * 2, **change}), path)
    found, reason = refusal(path)
    assert (found, says in reason) == (line, True), reason


@pytest.mark.parametrize(
    ("name", "symbol", "code"),
    [
        ("binance_BTCUSDT_1h.csv.gz", "BTC/USDT", "1h"),
        ("BTC-USDT_1h.csv", "BTC/USDT", "1h"),
        ("BTC_USDT-1h.parquet", "BTC/USDT", "1h"),
        ("ethbtc_15m.csv", "ETH/BTC", "15m"),
        ("kraken_SOL_EUR_1d.csv", "SOL/EUR", "1d"),
        ("okx-BTC-FDUSD-1w.csv", "BTC/FDUSD", "1w"),
        ("USDCUSDT_1d.csv", "USDC/USDT", "1d"),
        ("1INCHUSD_4h.csv", "1INCH/USD", "4h"),
    ],
)
def test_names_tell_market_and_timeframe(name: str, symbol: str, code: str) -> None:
    found = parse_name(Path("some") / name)
    assert found is not None
    assert (found.symbol, found.timeframe.code) == (symbol, code)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "BTCUSDT.csv",
        "BTCUSDT_1h.txt",
        "BTCUSDT_hour.csv",
        "USDT_1h.csv",
        "a_b_c_d_1h.csv",
        "_1h.csv",
        "BTCXYZ_1h.csv",
    ],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert parse_name(Path(name)) is None


async def test_a_folder_gives_the_files_that_were_asked_for_and_opens_no_other(tmp_path: Path) -> None:
    write(tmp_path, [HEADER, row(0), row(4)])
    write(tmp_path, ["broken"], "binance_ETHUSDT_1h.csv")
    write(tmp_path, ["broken"], "binance_BTCUSDT_1d.csv")
    write(tmp_path, ["notes"], "README.md")
    feed: MarketFeed = HistoryFeed.load(tmp_path, timeframe=HOUR, symbols=["BTC/USDT", "BTC/USDT"])
    assert list(await feed.instruments()) == ["BTC/USDT"]
    assert feed.generated is False
    with pytest.raises(BadMarketFile, match="ETHUSDT"):
        HistoryFeed.load(tmp_path, timeframe=HOUR)
    with pytest.raises(UnknownSymbol, match=r"no 1h bars of 'SOL/USDT'.*There are BTC/USDT, ETH/USDT"):
        HistoryFeed.load(tmp_path, timeframe=HOUR, symbols=["SOL/USDT"])
    with pytest.raises(BadMarketFile, match=r"no file of 4h bars is there; it has BTC/USDT 1d, BTC/USDT 1h"):
        HistoryFeed.load(tmp_path, timeframe=Timeframe("4h"))


def test_sources_that_hold_nothing_usable_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path, [HEADER, row(0)])
    for source, says in [
        (tmp_path / "absent", "does not exist"),
        ([], "no file of 1h bars"),
        ([good, tmp_path / "absent_BTCUSDT_1h.csv"], "does not exist"),
        (write(tmp_path, ["x"], "prices.csv"), "its name does not say a market"),
        (write(tmp_path, ["x"], "BTCUSDT_1d.csv"), "its name says 1d bars and 1h was asked for"),
        ([good, write(tmp_path, [HEADER, row(0)], "BTC-USDT_1h.csv")], "binance_BTCUSDT_1h.csv holds BTC/USDT 1h too"),
    ]:
        with pytest.raises(BadMarketFile, match=says):
            HistoryFeed.load(source, timeframe=HOUR)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadMarketFile, match="Files are named like"):
        HistoryFeed.load(tmp_path / "empty", timeframe=HOUR)


def test_weekly_bars_open_on_monday(tmp_path: Path) -> None:
    monday, thursday = "1704067200000", "1704326400000"  # 2024-01-01, 2024-01-04
    week = Timeframe("1w")
    assert len(read_bars(write(tmp_path, [HEADER, f"{monday},1,1,1,1,1"]), week)) == 1
    assert "not where a 1w bar opens" in refusal(write(tmp_path, [HEADER, f"{thursday},1,1,1,1,1"]), week)[1]


async def test_filters_come_from_the_first_bar_and_from_no_later_one(tmp_path: Path) -> None:
    first = row(0, "4261.480,4313.6200,4261.32,4308.83,47")
    later = row(1, "0.00000012,0.5,0.0000001,0.3,1")
    found = []
    for lines in ([HEADER, first], [HEADER, first, later]):
        feed = HistoryFeed.load(write(tmp_path, lines), timeframe=HOUR)
        found.append((await feed.instruments())["BTC/USDT"])
    assert found[0] == found[1]
    assert (found[0].tick_size, found[0].lot_size, found[0].min_quantity) == (
        Decimal("0.01"),
        Decimal("0.0001"),
        Decimal("0.0001"),
    )
    assert (found[0].min_notional, found[0].taker_fee, found[0].fee_currency) == (
        Decimal(5),
        Decimal("0.001"),
        FeeCurrency.RECEIVED,
    )


@given(st.decimals("0.0000001", "9999999", places=7), st.sampled_from(["USDT", "EUR", "BTC"]))
def test_a_lot_is_the_largest_power_of_ten_worth_at_most_one_unit(price: Decimal, quote: str) -> None:
    unit = Decimal("0.00001") if quote == "BTC" else Decimal(1)
    lot = inferred_instrument(f"X/{quote}", price=price, decimals=2).lot_size
    assert lot * price <= unit < lot * 10 * price
    assert lot.normalize().as_tuple().digits == (1,)


def test_decimals_are_those_of_the_finest_price() -> None:
    assert (
        price_decimals(Bar(T0, Decimal("0.00449"), Decimal("0.0046"), Decimal("0.0035"), Decimal("0.0038701"), Decimal(1))) == 7
    )
    assert price_decimals(Bar(T0, Decimal(301), Decimal("302.0"), Decimal("1E+2"), Decimal(301), Decimal("0.123"))) == 2


# Real bars.


async def daily_btc(folder: Path, day: datetime) -> Bar:
    feed = HistoryFeed.load(folder, timeframe=DAY, symbols=["BTC/USDT"])
    (bar,) = await feed.bars("BTC/USDT", DAY, as_of=day + DAY.length, limit=1)
    assert bar.opened_at == day
    return bar


@pytest.mark.parametrize(
    ("day", "field", "value"),
    [
        (datetime(2017, 12, 17, tzinfo=UTC), "high", "19798.68"),
        (datetime(2020, 3, 12, tzinfo=UTC), "close", "4800.00"),
        (datetime(2021, 5, 19, tzinfo=UTC), "low", "30000.00"),
        (datetime(2022, 6, 18, tzinfo=UTC), "low", "17622.00"),
        (datetime(2022, 11, 9, tzinfo=UTC), "close", "15922.81"),
    ],
)
async def test_known_days_have_their_known_prices(shared_data: Path, day: datetime, field: str, value: str) -> None:
    assert getattr(await daily_btc(shared_data / "ohlcv", day), field) == Decimal(value)


async def test_every_recorded_day_loads_without_gaps_in_btc(shared_data: Path) -> None:
    feed = HistoryFeed.load(shared_data / "ohlcv", timeframe=DAY)
    assert sorted(await feed.instruments()) == [
        f"{base}/USDT" for base in ("ADA", "BCH", "BNB", "BTC", "DOGE", "ETH", "SOL", "TRX", "XRP")
    ]
    assert feed.gaps("BTC/USDT") == []
    assert feed.span("BTC/USDT") == (datetime(2017, 8, 17, tzinfo=UTC), datetime(2025, 10, 1, tzinfo=UTC))


async def test_seven_years_of_hours_tell_their_gaps(shared_data: Path) -> None:
    feed = HistoryFeed.load(shared_data / "ohlcv" / "binance_BTCUSDT_1h.csv.gz", timeframe=HOUR)
    longest = max(feed.gaps("BTC/USDT"), key=lambda gap: gap.missing)
    assert (longest.start.date(), longest.missing) == (datetime(2018, 2, 8, tzinfo=UTC).date(), 33)
    ticker = await feed.ticker("BTC/USDT", as_of=longest.end)
    assert ticker is not None
    assert longest.end - ticker.at == timedelta(hours=33, microseconds=1)

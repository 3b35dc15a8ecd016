"""`algotrendy data`, over a real store and against a local venue."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from api.cli import Commands, everything
from api.commands.data import data
from data_channels.store.open import open_store
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.local import serving
from tests.venues.past import give_past
from tests.venues.server import VenueServer
from trading_core.domain.clock import iso, to_ms

D = Decimal
HOUR_MS = 3_600_000
HEADER = "ts,open,high,low,close,volume"
START = datetime(2024, 3, 1, tzinfo=UTC)

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
app.callback()(everything)
app.add_typer(data)


@pytest.fixture(autouse=True, params=["duckdb", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of this test's own, with the store in it or in a database."""
    monkeypatch.setenv("ALGOTRENDY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "150")
    if request.param == "postgresql":
        monkeypatch.setenv("ALGOTRENDY_TIMESERIES", str(request.getfixturevalue("empty_postgres_url")))
    return tmp_path / "home"


@pytest.fixture
def venue() -> Iterator[VenueServer]:
    """A Binance that has traded for 30 hours and has a market that has not."""
    with serving(BINANCE) as server:
        exchange = server.venue.exchange
        give_past(exchange, BINANCE.symbol, [D(50_000 + number) for number in range(30)], length_ms=HOUR_MS)
        yield server


def command(*arguments: object, status: int = 0, answer: str = "") -> Result:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], input=answer)
    assert result.exit_code == status, result.output
    return result


def as_json(*arguments: object, status: int = 0) -> Any:
    return json.loads(command(*arguments, "--json", status=status).stdout)


def bars(folder: Path, hours: list[int], name: str = "binance_BTCUSDT_1h.csv") -> Path:
    path = folder / name
    rows = [f"{to_ms(START + timedelta(hours=hour))},100,101.5,99,100,3.25" for hour in hours]
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def readings(folder: Path, days_ago: int = 0) -> Path:
    path = folder / "readings.csv"
    header = "source,symbol,name,value,unit,observed_at,published_at"
    start = datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=days_ago)
    times = [iso(start - timedelta(minutes=10 * number)) for number in range(12, 0, -1)]
    path.write_text("\n".join([header, *(f"fng,BTC/USDT,greed,{n},points,{at},{at}" for n, at in enumerate(times)), ""]))
    return path


def test_files_go_in_are_listed_and_are_known_the_second_time(tmp_path: Path) -> None:
    files = [bars(tmp_path, [0, 1, 2, 5]), readings(tmp_path)]
    first = as_json("import", *files)
    assert [(each["added"], each["known_before"]) for each in first] == [(4, False), (12, False)]
    assert first[0]["bars_of"] == {"venue": "binance", "symbol": "BTC/USDT", "timeframe": "1h"}
    assert [each["known_before"] for each in as_json("import", tmp_path)] == [True, True]
    listed = as_json("list")
    assert listed["bytes"] > 0
    (span,) = listed["bars"]
    assert (span["venue"], span["symbol"], span["timeframe"], span["count"]) == ("binance", "BTC/USDT", "1h", 4)
    assert (span["from"], span["to"]) == ("2024-03-01T00:00:00Z", "2024-03-01T06:00:00Z")
    assert [(each["source"], each["name"], each["count"]) for each in listed["readings"]] == [("fng", "greed", 12)]
    shown = command("list").stdout
    for word in ("binance", "2024-03-01 06:00", "fng", "greed", "12"):
        assert word in shown
    shown = command("import", tmp_path).stdout
    assert shown.count("known, skipped") == 2


def test_gaps_and_check_tell_what_is_missing(tmp_path: Path) -> None:
    bars(tmp_path, [0, 1, 4, 5, 9, 10])
    bars(tmp_path, [0], "kraken_ETH-USDT_1h.csv")
    command("import", tmp_path)
    found = as_json("gaps", "--symbol", "btc/usdt")
    assert [(each["from"], each["missing"]) for each in found] == [("2024-03-01T02:00:00Z", 2), ("2024-03-01T06:00:00Z", 3)]
    assert [each["missing"] for each in as_json("gaps", "--longest", 1)] == [3]
    assert "2024-03-01 06:00" in command("gaps").stdout
    assert command("gaps", "--venue", "kraken").stdout == "No bar is missing.\n"
    checked = as_json("check")
    assert [(each["symbol"], each["missing"], each["damaged"]) for each in checked] == [("BTC/USDT", 5, 0), ("ETH/USDT", 0, 0)]
    assert checked[0]["longest_gap"]["missing"] == 3
    assert "5 (45.45 %)" in command("check").stdout


def test_a_bar_that_cannot_be_fails_the_check(home: Path, tmp_path: Path) -> None:
    async def damage() -> None:
        where = os.environ.get("ALGOTRENDY_TIMESERIES") or home / "timeseries.duckdb"
        async with await open_store(where) as store, store._writing() as session:
            await session.run("UPDATE timeseries.bars SET low = 100.5 WHERE opened_at = $1", START + timedelta(hours=1))

    command("import", bars(tmp_path, [0, 1, 2]))
    asyncio.run(damage())
    (checked,) = as_json("check", status=1)
    assert checked["damaged"] == 1
    assert checked["damage"][0].startswith("2024-03-01T01:00:00Z: open 100")
    assert "do not lie between low 100.5" in command("check", status=1).stdout


def test_a_bad_file_is_named_and_those_before_it_are_kept(tmp_path: Path) -> None:
    bars(tmp_path, [0, 1])
    bad = bars(tmp_path, [0], "binance_ETHUSDT_1h.csv")
    bad.write_text(bad.read_text() + "tomorrow,1,1,1,1,1\n")
    told = command("import", tmp_path, status=2).stderr
    assert "binance_ETHUSDT_1h.csv, line 3: ts is 'tomorrow'" in told
    assert [each["symbol"] for each in as_json("list")["bars"]] == ["BTC/USDT"]


def test_bars_are_fetched_from_a_venue_and_only_missing_ones_the_second_time(venue: VenueServer) -> None:
    asked = ["fetch", "--venue", "binance", "--symbols", BINANCE.symbol, "--url", venue.base_url, "--timeframe", "1h"]
    now = datetime.now(UTC)
    start = iso((now - timedelta(hours=20)).replace(minute=0, second=0, microsecond=0))
    later = iso((now - timedelta(hours=10)).replace(minute=0, second=0, microsecond=0))
    (first,) = as_json(*asked, "--from", later)
    assert first["added"] == first["asked_for"] == 10
    (second,) = as_json(*asked, "--from", start)
    assert second["added"] == second["asked_for"] == 10
    (span,) = as_json("list")["bars"]
    assert (span["from"], span["count"]) == (start, 20)
    assert as_json("gaps") == []
    (third,) = as_json(*asked, "--from", start)
    assert (third["added"], third["asked_for"]) == (0, 0)
    before = iso(now - timedelta(hours=40))
    (fourth,) = as_json(*asked, "--from", before)
    assert fourth["not_given"] == fourth["asked_for"] - fourth["added"] > 0  # from before it traded
    assert "not given" in command(*asked, "--from", before).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--symbols", "NO/SUCH", "--from", "2024-01-01"], "has no spot market 'NO/SUCH'"),
        (["--symbols", BINANCE.symbol, "--from", "yesterday"], "which is no date or time"),
        (["--symbols", BINANCE.symbol, "--from", "2024-01-02", "--to", "2024-01-01"], "no 1h bar fits"),
        (["--symbols", BINANCE.symbol, "--from", "2024-01-01", "--timeframe", "soon"], "timeframe 'soon'"),
    ],
)
def test_a_fetch_that_cannot_be_says_why(venue: VenueServer, arguments: list[str], said: str) -> None:
    assert said in command("fetch", "--venue", "binance", "--url", venue.base_url, *arguments, status=2).stderr


def test_pruning_sums_up_after_asking(tmp_path: Path) -> None:
    command("import", readings(tmp_path, days_ago=40))
    assert "Readings older than 30 days are summed up. Go on?" in command("prune", answer="n\n", status=1).stderr
    assert as_json("list")["readings"][0]["rows"] == 12
    assert as_json("prune", "--yes")["rows_folded"] == 10
    listed = as_json("list")["readings"][0]
    assert (listed["count"], listed["rows"]) == (12, 2)
    told = command("prune", "--readings", 36, "--raw", 5, "--hourly", 5, answer="y\n")
    assert "readings older than 36 days are removed" in told.stderr
    assert "removed: 2 readings and 0 bars" in told.stdout
    assert "cannot be kept raw for 30 days, hourly for 5 days" in command("prune", "--yes", "--hourly", 5, status=2).stderr


def test_a_terminal_sees_how_far_it_is(tmp_path: Path, venue: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("api.console.data.errors", lambda: Console(file=screen, force_terminal=True, width=120))
    command("import", bars(tmp_path, [0, 1]))
    start = iso(datetime.now(UTC) - timedelta(hours=5))
    command("fetch", "--venue", "binance", "--symbols", BINANCE.symbol, "--url", venue.base_url, "--from", start)
    for words in ("1/1 binance_BTCUSDT_1h.csv", "2 rows", f"binance {BINANCE.symbol} 1h", "4/4"):
        assert words in screen.getvalue()


def test_what_is_not_there_is_not_made_by_looking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOTRENDY_TIMESERIES", raising=False)
    for words in (["list"], ["check"], ["gaps"], ["prune", "--yes"]):
        assert "there are no time series in" in command(*words, status=2).stderr
    assert not home.exists()


def test_bars_that_are_not_kept_are_told(tmp_path: Path) -> None:
    command("import", readings(tmp_path))
    assert "no bars are kept yet" in command("check", status=2).stderr
    command("import", bars(tmp_path, [0]))
    assert "no such bars are kept" in command("gaps", "--timeframe", "1m", status=2).stderr


def test_a_file_that_another_process_has_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOTRENDY_TIMESERIES", raising=False)
    path = tmp_path / "held.duckdb"
    code = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        told = command("import", bars(tmp_path, [0]), "--store", path, status=1).stderr
        assert f"open in another process (PID {holder.pid})" in told
        holder.communicate()

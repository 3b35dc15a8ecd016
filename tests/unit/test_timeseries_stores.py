"""Both databases keep the promises of the time series store, and some of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from data_channels.store.base import Stored, TimeSeriesStore
from data_channels.store.duckdb_store import DuckDbStore
from data_channels.store.open import open_store
from data_channels.store.postgresql_store import PostgresStore
from data_channels.store.retention import Retention
from tests.unit.conformance_timeseries import DAY, FAR, TimeSeriesConformance
from tests.unit.timeseries_cases import BTC, KEY, T0, bar, reading
from trading_core.domain.errors import ConfigurationError, StoreUnavailable

MONTH = 60 * 24 * 31


class TestDuckDb(TimeSeriesConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[TimeSeriesStore]:
        async with await DuckDbStore.open(tmp_path / "series.duckdb") as store:
            yield store


class TestPostgres(TimeSeriesConformance):
    @pytest.fixture
    async def store(self, empty_postgres_url: str) -> AsyncIterator[TimeSeriesStore]:
        async with await PostgresStore.open(empty_postgres_url) as store:
            yield store


@pytest.fixture(params=["duckdb", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "duckdb":
        return str(tmp_path / "a folder" / "series.duckdb")
    return str(request.getfixturevalue("empty_postgres_url"))


async def test_what_was_kept_is_there_when_it_is_opened_again(location: str) -> None:
    for stored in (Stored(added=1), Stored(unchanged=1)):
        async with await open_store(location) as store:
            assert await store.put([reading(0)]) == stored
            assert await store.put_bars(KEY, [bar(0)]) == stored


async def test_tables_of_a_newer_program_are_left_alone(location: str) -> None:
    async with await open_store(location) as store, store._writing() as session:
        await session.run("UPDATE timeseries.version SET version = 99")
    with pytest.raises(ConfigurationError, match="are of version 99"):
        await open_store(location)


@pytest.mark.parametrize("location", ["mysql://user:secret@host/db", "duckdb://x"])
async def test_a_location_that_cannot_be_meant_is_refused_without_its_password(location: str) -> None:
    with pytest.raises(ConfigurationError, match="in a file or in PostgreSQL") as refused:
        await open_store(location)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["timeseries.duckdb", "kept", "main.db", "it's a file.duckdb", "temp.duckdb"])
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with await open_store(tmp_path / name) as store:
        assert await store.put([reading(0)]) == Stored(added=1)
    assert [path.name for path in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))] == [name]
    async with await open_store(tmp_path / name) as store:
        assert len(await store.newest(BTC, as_of=FAR)) == 1


async def test_a_second_process_is_told_who_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    code = (
        "import asyncio, sys; from data_channels.store.open import open_store\n"
        "try: asyncio.run(open_store(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    async with await open_store(path) as store:
        await store.put([reading(0)])
        told = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)  # noqa: ASYNC221 - nothing else is to run meanwhile
        assert "StoreUnavailable the time series in" in told.stdout
        assert "open in another process (PID" in told.stdout
        assert await store.put([reading(1)]) == Stored(added=1)
    async with await open_store(path) as again:
        (span,) = await again.reading_spans()
        assert span.count == 2


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    path.write_text("ts,open,high,low,close,volume\n" * 500)
    with pytest.raises(StoreUnavailable, match="the time series failed"):
        await open_store(path)
    assert path.read_text().startswith("ts,open")


async def test_a_server_out_of_reach_is_told_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="database failed") as refused:
        await open_store("postgresql://desk:secret@127.0.0.1:1/desk")
    assert "secret" not in str(refused.value)


async def test_the_name_of_a_server_has_no_password(postgres_url: str) -> None:
    user, at_sign, rest = postgres_url.partition("@")
    async with await open_store(f"{user}:secret{at_sign}{rest}") as store:
        assert "secret" not in store.name
        assert store.name.endswith(rest)
        assert await store.put([reading(0)]) == Stored(added=1)  # beside the tables of a ledger


async def test_a_month_is_a_partition_that_is_dropped_whole(empty_postgres_url: str) -> None:
    async def partitions() -> list[str]:
        connection = await asyncpg.connect(empty_postgres_url)
        try:
            found = await connection.fetch("SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")
            return [row[0] for row in found if "_2024_" in row[0] and not row[0].endswith(("_idx", "_pkey"))]
        finally:
            await connection.close()

    async with await PostgresStore.open(empty_postgres_url) as store:
        await store.put([reading(MONTH * month) for month in range(3)])
        await store.put_bars(KEY, [bar(0)])
        assert await partitions() == [
            f"timeseries.{name}" for name in ("bars_2024_01", "readings_2024_01", "readings_2024_03", "readings_2024_04")
        ]
        await store.prune(Retention(raw=DAY, hourly=DAY, readings=DAY), now=reading(MONTH * 2).published_at)
        assert await partitions() == ["timeseries.bars_2024_01", "timeseries.readings_2024_04"]


async def test_a_month_that_another_program_dropped_is_made_again(empty_postgres_url: str) -> None:
    async with await PostgresStore.open(empty_postgres_url) as one, await PostgresStore.open(empty_postgres_url) as other:
        await one.put([reading(0)])
        kept = Retention(raw=DAY, hourly=DAY, readings=DAY)
        assert (await other.prune(kept, now=reading(MONTH * 2).published_at)).readings == 1
        assert await one.put([reading(0)]) == Stored(added=1)


async def test_two_programs_make_the_same_months_at_once(empty_postgres_url: str) -> None:
    first, second = await asyncio.gather(*(PostgresStore.open(empty_postgres_url) for _ in range(2)))
    rows = [reading(MONTH * month) for month in range(12)]
    done = await asyncio.gather(first.put(rows), second.put(rows), first.put_bars(KEY, [bar(0)]), second.put_bars(KEY, [bar(0)]))
    assert done[0] + done[1] == Stored(added=12, unchanged=12)
    assert done[2] + done[3] == Stored(added=1, unchanged=1)
    assert len(await first.newest(BTC, as_of=FAR)) == 1
    assert list(await second.bars_between(KEY, start=T0, end=FAR)) == [bar(0)]
    await first.close()
    await second.close()

"""PostgreSQL that is not there, shuts the door, dies, or is slow: the desk's own errors, in one line, without a password."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from graph.runs.event_log import EventLog
from tests.postgres_server import NoPostgres, Server
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError, InvalidInput, LedgerError, StoreUnavailable
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.session import Database
from trading_core.persistence.settings import DatabaseSettings

AT = datetime(2025, 3, 1, tzinfo=UTC)
SECRET = "correct horse"  # noqa: S105 - of nobody
IMPATIENT = DatabaseSettings(statement_timeout=0.2, lock_timeout=0.1, idle_in_transaction_timeout=0.2, connect_timeout=2)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server of this file's own, to be killed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            server = Server(Path(folder), durable=True)
            server.start()
        except NoPostgres as error:
            pytest.skip(str(error))
        yield server
        server.stop()


async def opened(location: str, settings: DatabaseSettings | None = None) -> Database:
    database = await Database.open(location, settings)
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened("paper", "USDT", Decimal(10)), "paper", AT)
    return database


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await opened(postgres_url, IMPATIENT) as database:
        yield database


async def count(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.claims.take("paper")
        known = await uow.risk.load("paper") or {"count": 0}
        await uow.risk.save("paper", {"count": int(str(known["count"])) + 1}, AT)


async def counted(database: Database) -> object:
    async with database.reading() as uow:
        return (await uow.risk.load("paper") or {"count": 0})["count"]


async def refusal(location: str, settings: DatabaseSettings | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await Database.open(location, settings)
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    assert "correct%20horse" not in said
    return said


async def test_a_server_that_is_not_there_is_told_in_one_line() -> None:
    said = await refusal("postgresql://desk:correct%20horse@127.0.0.1:1/desk")
    assert "'postgresql://desk:***@127.0.0.1:1/desk' cannot be opened" in said
    assert "cannot be used" in await refusal("postgresql://desk:correct%20horse@no-such-host.invalid/desk")


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        said = await refusal(f"postgresql://desk@127.0.0.1:{silent.getsockname()[1]}/desk", DatabaseSettings(connect_timeout=0.1))
    assert "no answer within 0.1 s" in said


async def test_a_database_or_user_that_is_not_there_and_a_wrong_password(own_server: Server) -> None:
    assert 'database "nothing" does not exist' in await refusal(own_server.url("nothing"))
    assert 'role "nobody" does not exist' in await refusal(own_server.url(user="nobody"))
    connection = await asyncpg.connect(own_server.url())
    await connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'secret'")
    await connection.close()
    own_server.guard("guarded")
    said = await refusal(own_server.url(user="guarded:correct%20horse"))
    assert 'password authentication failed for user "guarded"' in said


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("postgresql://desk:correct%20horse@host/", "names no database"),
        ("postgresql://host/desk?password=correct%20horse", "unknown option 'password'"),
        ("postgresql://desk:correct%20horse@host:port/desk", "cannot be read"),
        ("postgresql://desk:correct%20horse@127.0.0.1:1/desk?sslmode=perhaps", "perhaps"),
    ],
)
async def test_a_url_that_makes_no_sense_is_told_without_its_password(location: str, why: str) -> None:
    assert why in await refusal(location)


async def test_a_server_that_dies_in_a_transaction_is_unavailable_and_comes_back(own_server: Server) -> None:
    async with await opened(own_server.url()) as database:
        await count(database)

        async def broken(when: str) -> None:
            async with database.transaction() as uow:
                await uow.claims.take("paper")
                await uow.risk.save("paper", {"count": 100}, AT)
                own_server.kill()
                if when == "statement":
                    await uow.risk.load("paper")

        for when, told in (("statement", "Nothing of the transaction was written"), ("commit", "is not known")):
            with pytest.raises(StoreUnavailable, match=told):
                await broken(when)
            with pytest.raises(StoreUnavailable, match="cannot be used"):
                await counted(database)
            own_server.start()
            assert await counted(database) == 1  # not written, and the pool has noticed

    async with await opened(own_server.url()) as database:
        async with database.reading() as one, database.reading() as two:  # two connections in the pool
            assert await one.risk.load("paper") == await two.risk.load("paper")
        own_server.stop()
        own_server.start()
        await asyncio.gather(count(database), count(database))
        assert await counted(database) == 3


async def test_without_trying_first_a_restart_costs_one_error(own_server: Server) -> None:
    async with await opened(own_server.url(), DatabaseSettings(pre_ping=False)) as database:
        before = await counted(database)
        own_server.stop()
        own_server.start()
        with pytest.raises(StoreUnavailable):
            await counted(database)
        assert await counted(database) == before


async def test_a_lock_that_is_held_is_given_up(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.claims.take("paper")
        with pytest.raises(StoreUnavailable, match="lock timeout") as caught:
            await count(database)
        assert "held open" in str(caught.value)
    await count(database)
    assert await counted(database) == 1


async def test_a_statement_that_takes_too_long_is_given_up(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        async with database.transaction() as uow:
            await uow.runs._connection.exec_driver_sql("SELECT pg_sleep(5)")
    await count(database)


async def test_a_transaction_that_nobody_goes_on_with_frees_its_lock(database: Database) -> None:
    async def dawdle() -> None:
        async with database.transaction() as uow:
            await uow.claims.take("paper")
            await asyncio.sleep(0.5)
            await count(database)
            await uow.risk.load("paper")

    with pytest.raises(StoreUnavailable, match=r"idle-in-transaction|closed"):
        await dawdle()
    assert await counted(database) == 1


async def test_a_pool_that_is_used_up_is_an_error_not_a_hang(postgres_url: str) -> None:
    settings = DatabaseSettings(pool_size=1, max_overflow=1, pool_timeout=0.1)
    async with await opened(postgres_url, settings) as database, database.reading(), database.reading():
        with pytest.raises(StoreUnavailable, match="QueuePool limit"):
            await counted(database)


async def test_deadlocked_transactions_are_told_to_try_again(postgres_url: str) -> None:
    async with await opened(postgres_url) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened("other", "USDT", Decimal(10)), "paper", AT)
        met = asyncio.Barrier(2)

        async def take(first: str, second: str) -> None:
            async with database.transaction() as uow:
                await uow.claims.take(first)
                await met.wait()
                await uow.claims.take(second)

        ends = await asyncio.gather(take("paper", "other"), take("other", "paper"), return_exceptions=True)
        (lost,) = [end for end in ends if end is not None]
        assert isinstance(lost, StoreUnavailable)
        assert "deadlock" in str(lost)
        assert "Try again" in str(lost)


async def test_a_reader_cannot_write_and_a_value_out_of_range_is_named(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        async with database.reading() as uow:
            await uow.risk.save("paper", {}, AT)
    with pytest.raises(InvalidInput, match="cannot keep a value"):
        async with database.transaction() as uow:
            await uow.runs._connection.exec_driver_sql("SELECT 1 / 0")
    with pytest.raises(LedgerError, match="contradict"):
        async with database.transaction() as uow:
            await uow.runs._connection.exec_driver_sql("INSERT INTO balances VALUES ('nobody', 'BTC', 1)")


async def test_every_connection_carries_the_settings(postgres_url: str) -> None:
    names = "application_name", "TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
    async with await Database.open(postgres_url) as database, database.transaction() as uow:
        connection = uow.runs._connection
        found = [(await connection.exec_driver_sql(f"SHOW {name}")).scalar_one() for name in names]
        isolation = (await connection.exec_driver_sql("SHOW transaction_isolation")).scalar_one()
    assert found == ["algotrendy", "UTC", "30s", "10s", "1min"]
    assert isolation == "read committed"


@pytest.mark.parametrize(
    "wrong", [{"pool_size": 0}, {"connect_timeout": 0}, {"lock_timeout": -1}, {"pool_timeout": float("nan")}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        DatabaseSettings(**wrong)


class Line:
    """A TCP line to a server, which breaks once at the next COMMIT: on its way there, or on the way back with the answer."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.breaks = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._server)
        there = asyncio.create_task(self._pump(reader, far_writer, "there", b"COMMIT;"))
        back = asyncio.create_task(self._pump(far_reader, writer, "back", b"COMMIT\0"))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        back.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        far_writer.close()
        writer.close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: str, word: bytes) -> None:
        while data := await source.read(65_536):
            if self.breaks == way and word in data:
                self.breaks = ""
                return
            target.write(data)
            await target.drain()


@asynccontextmanager
async def over_a_line(url: str) -> AsyncIterator[tuple[str, Line]]:
    known = make_url(url)
    line = Line(known.host or "127.0.0.1", known.port or 5432)
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield known.set(host=host, port=port).render_as_string(hide_password=False), line


@pytest.mark.parametrize("way", ["there", "back"])
async def test_events_whose_commit_was_cut_off_are_kept_once(postgres_url: str, way: str) -> None:
    async with over_a_line(postgres_url) as (url, line), await opened(url) as database:
        async with EventLog(database, SystemClock()).open() as log:
            first = await log.append("paper", "equity", {"n": 1})
            line.breaks = way
            told = await asyncio.gather(*(log.append("paper", "equity", {"n": n}) for n in (2, 3)))
            assert line.breaks == "", "it was cut"
            last = await log.append("paper", "equity", {"n": 4})
        async with database.reading() as uow:
            assert await uow.events.after(0, None, 10) == (first, *told, last)

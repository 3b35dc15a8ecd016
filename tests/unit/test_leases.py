"""The right to run an account: one process has it, loses it when it is gone, and stops when another has it. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from graph.runs.leases import LeaseTimes, LostLease, alone, holding, lease_of
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError
from trading_core.persistence.repositories.leases import LeasesRepository
from trading_core.persistence.session import Database

CLOCK = SystemClock()
KEPT = LeaseTimes(renewed=0.05)  # it lasts long enough for the slowest machine
SHORT = LeaseTimes(lasts=0.3, renewed=0.1)


class Ahead(SystemClock):
    """A machine whose clock is a year ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=365)


class Behind(SystemClock):
    """A machine whose clock is an hour behind."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        yield database


async def take_over(database: Database, holder: str) -> None:
    """What another process does when the lease has run out, made to happen now."""
    now = CLOCK.now()
    async with database.transaction() as uow:
        assert await uow.leases.take(lease_of("paper"), holder, now + timedelta(days=1), now + timedelta(days=2))


async def holder_of(database: Database) -> str | None:
    async with database.reading() as uow:
        lease = await uow.leases.get(lease_of("paper"))
    return None if lease is None else lease.holder


async def until(happens: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await happens():
                return
            await asyncio.sleep(0.02)


async def renewed(database: Database, account: str = "paper") -> None:
    """Return when the lease was renewed."""

    async def ends() -> datetime:
        async with database.reading() as uow:
            lease = await uow.leases.get(lease_of(account))
        assert lease is not None
        return lease.expires_at

    before = await ends()

    async def later() -> bool:
        return await ends() > before

    await until(later)


async def told(lost: list[LostLease]) -> None:
    """Return when the loss was told."""

    async def is_told() -> bool:
        return bool(lost)

    await until(is_told)


async def test_one_process_has_it_and_gives_it_back(database: Database) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, KEPT):
        await renewed(database)
        with pytest.raises(ConfigurationError, match=r"\(one\) runs account 'paper'"):
            async with holding(database, CLOCK, "paper", "two", lost.append):
                pytest.fail("two have it")
        assert await holder_of(database) == "one"
    assert await holder_of(database) is None
    assert lost == []
    async with holding(database, CLOCK, "paper", "two", lost.append, KEPT):
        assert await holder_of(database) == "two"


@pytest.mark.parametrize("left", [timedelta(minutes=1), timedelta(days=4_000)], ids=["just killed", "its clock was years ahead"])
async def test_that_of_a_dead_process_is_waited_for_as_long_as_a_lease_lasts(database: Database, left: timedelta) -> None:
    now, waited = CLOCK.now(), list[datetime]()
    async with database.transaction() as uow:
        await uow.leases.take(lease_of("paper"), "dead", now, now + left)
    async with holding(database, CLOCK, "paper", "next", lambda error: None, SHORT, waiting=waited.append):
        assert await holder_of(database) == "next"
    assert waited == [now + left]


async def test_one_that_has_run_out_is_not_waited_for(database: Database) -> None:
    now, waited = CLOCK.now(), list[datetime]()
    async with database.transaction() as uow:
        await uow.leases.take(lease_of("paper"), "dead", now - timedelta(minutes=2), now - timedelta(minutes=1))
    async with holding(database, CLOCK, "paper", "next", lambda error: None, KEPT, waiting=waited.append):
        assert await holder_of(database) == "next"
    assert waited == []


async def test_who_lost_it_is_told_once_and_does_not_take_it_back(database: Database) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, KEPT):
        await take_over(database, "other")
        await told(lost)
    assert [error.account_id for error in lost] == ["paper"]
    assert "other" in str(lost[0])
    assert await holder_of(database) == "other"


async def test_a_right_that_cannot_be_renewed_in_time_is_lost(sqlite_copy: str) -> None:
    lost: list[LostLease] = []
    async with await Database.open(str(sqlite_copy)) as database, await Database.open(str(sqlite_copy)) as other:
        async with holding(database, CLOCK, "paper", "one", lost.append, SHORT):
            with suppress(RuntimeError):
                async with other.transaction() as uow:  # the ledger hangs: another writer holds it
                    await uow.leases.take("something", "else", CLOCK.now(), CLOCK.now())
                    await told(lost)
                    assert [error.account_id for error in lost] == ["paper"]
                    raise RuntimeError
    assert len(lost) == 1


async def test_accounts_have_rights_of_their_own(database: Database) -> None:
    lost: list[LostLease] = []
    async with (
        holding(database, CLOCK, "paper", "one", lost.append, KEPT),
        holding(database, CLOCK, "practice", "two", lost.append, KEPT),
    ):
        await renewed(database)
        await renewed(database, "practice")
    assert lost == []


async def test_work_that_must_be_alone_is_cut_off_when_another_takes_the_account(database: Database) -> None:
    async def work() -> None:
        async with alone(database, CLOCK, "paper", "one", KEPT):
            await take_over(database, "two")
            await asyncio.sleep(30)

    with pytest.raises(LostLease, match="two took it over"):
        await work()
    assert await holder_of(database) == "two"
    async with holding(database, Ahead(), "paper", "two", lambda error: None, KEPT):  # its clock is a year ahead
        with pytest.raises(ConfigurationError, match=r"\(two\) runs account 'paper'"):
            async with alone(database, CLOCK, "paper", "one", KEPT):
                pytest.fail("two have it")


async def test_machines_whose_clocks_differ_count_by_that_of_the_database_they_share(postgres_url: str) -> None:
    lost: list[LostLease] = []
    async with (
        await Database.open(postgres_url) as here,
        await Database.open(postgres_url) as there,
        holding(here, Behind(), "paper", "one", lost.append, KEPT),
    ):
        with pytest.raises(ConfigurationError, match=r"\(one\) runs account 'paper'"):
            async with holding(there, Ahead(), "paper", "two", lost.append):
                pytest.fail("two have it")
        async with there.reading() as uow:
            for clock in (Ahead(), Behind()):
                held = await uow.leases.held(lease_of("paper"), clock.now())
                assert held is not None
                assert held.holder == "one"
    assert lost == []


async def test_on_a_file_the_clock_is_that_of_its_one_machine(sqlite_copy: str) -> None:
    now = Behind().now()
    async with await Database.open(str(sqlite_copy)) as database, database.reading() as uow:
        assert await uow.leases.now(now) == now


async def test_a_right_is_kept_whatever_goes_wrong_with_one_renewal(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, KEPT):
        real, failed = LeasesRepository.take, list[str]()

        async def odd(self: LeasesRepository, name: str, holder: str, now: datetime, until: datetime) -> bool:
            if not failed:
                failed.append(name)
                raise RuntimeError("nobody thought of this")
            return await real(self, name, holder, now, until)

        monkeypatch.setattr(LeasesRepository, "take", odd)

        async def has_failed() -> bool:
            return bool(failed)

        await until(has_failed)
        await renewed(database)
    assert lost == []
    assert "nobody thought of this" in caplog.text


async def test_whoever_cancels_the_work_itself_is_obeyed_and_the_right_given_back(database: Database) -> None:
    async def work() -> None:
        async with alone(database, CLOCK, "paper", "one", KEPT):
            await asyncio.sleep(30)

    task = asyncio.create_task(work())

    async def has_it() -> bool:
        return await holder_of(database) == "one"

    await until(has_it)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await holder_of(database) is None

"""The right to run an account: one process has it, loses it when it is gone, and stops when another has it. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from graph.runs.leases import LeaseTimes, LostLease, alone, holding, lease_of
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError
from trading_core.persistence.repositories.leases import LeasesRepository
from trading_core.persistence.session import Database

CLOCK = SystemClock()
QUICK = LeaseTimes(lasts=0.6, renewed=0.15)


class Ahead(SystemClock):
    """A machine whose clock is a year ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=365)


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


async def test_one_process_has_it_and_gives_it_back(database: Database) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, QUICK):
        await asyncio.sleep(1)  # it is renewed
        with pytest.raises(ConfigurationError, match=r"\(one\) runs account 'paper'"):
            async with holding(database, CLOCK, "paper", "two", lost.append, LeaseTimes(lasts=0.3)):
                pytest.fail("two have it")
        assert await holder_of(database) == "one"
    assert await holder_of(database) is None
    assert lost == []
    async with holding(database, CLOCK, "paper", "two", lost.append, QUICK):
        assert await holder_of(database) == "two"


async def test_that_of_a_dead_process_is_waited_for(database: Database) -> None:
    now, told = CLOCK.now(), []

    def waiting(until: datetime) -> None:
        told.append(until)

    async with database.transaction() as uow:
        await uow.leases.take(lease_of("paper"), "dead", now, now + timedelta(seconds=0.4))
    async with holding(database, CLOCK, "paper", "next", lambda error: None, QUICK, waiting=waiting):
        assert await holder_of(database) == "next"
    assert told == [now + timedelta(seconds=0.4)]


async def test_who_lost_it_is_told_once_and_does_not_take_it_back(database: Database) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, QUICK):
        await take_over(database, "other")
        await asyncio.sleep(0.6)
    assert [error.account_id for error in lost] == ["paper"]
    assert "other" in str(lost[0])
    assert await holder_of(database) == "other"


async def test_a_right_that_cannot_be_renewed_in_time_is_lost(sqlite_copy: str) -> None:
    lost: list[LostLease] = []
    async with await Database.open(str(sqlite_copy)) as database, await Database.open(str(sqlite_copy)) as other:
        async with holding(database, CLOCK, "paper", "one", lost.append, QUICK):
            with suppress(RuntimeError):
                async with other.transaction() as uow:  # the ledger hangs: another writer holds it
                    await uow.leases.take("something", "else", CLOCK.now(), CLOCK.now())
                    await asyncio.sleep(1.2)
                    assert [error.account_id for error in lost] == ["paper"]
                    raise RuntimeError
    assert len(lost) == 1


async def test_accounts_have_rights_of_their_own(database: Database) -> None:
    lost: list[LostLease] = []
    async with (
        holding(database, CLOCK, "paper", "one", lost.append, QUICK),
        holding(database, CLOCK, "practice", "two", lost.append, QUICK),
    ):
        await asyncio.sleep(0.3)
    assert lost == []


async def test_work_that_must_be_alone_is_cut_off_when_another_takes_the_account(database: Database) -> None:
    async def work() -> None:
        async with alone(database, CLOCK, "paper", "one", QUICK):
            await take_over(database, "two")
            await asyncio.sleep(30)

    with pytest.raises(LostLease, match="two took it over"):
        await work()
    assert await holder_of(database) == "two"
    async with holding(database, Ahead(), "paper", "two", lambda error: None, QUICK):  # its clock is a year ahead
        with pytest.raises(ConfigurationError, match=r"\(two\) runs account 'paper'"):
            async with alone(database, CLOCK, "paper", "one", QUICK):
                pytest.fail("two have it")


async def test_a_clock_that_was_years_ahead_keeps_no_account_for_years(database: Database) -> None:
    now = CLOCK.now()
    async with database.transaction() as uow:
        await uow.leases.take(lease_of("paper"), "dead", now, now + timedelta(days=4_000))
    async with holding(database, CLOCK, "paper", "next", lambda error: None, QUICK):
        assert await holder_of(database) == "next"


async def test_a_right_is_kept_whatever_goes_wrong_with_one_renewal(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[LostLease] = []
    async with holding(database, CLOCK, "paper", "one", lost.append, QUICK):
        real, failed = LeasesRepository.take, list[str]()

        async def odd(self: LeasesRepository, name: str, holder: str, now: datetime, until: datetime) -> bool:
            if not failed:
                failed.append(name)
                raise RuntimeError("nobody thought of this")
            return await real(self, name, holder, now, until)

        monkeypatch.setattr(LeasesRepository, "take", odd)
        await asyncio.sleep(2 * QUICK.lasts)
        async with database.reading() as uow:
            lease = await uow.leases.get(lease_of("paper"))
        assert lease is not None
        assert lease.expires_at > CLOCK.now(), "it is renewed"
    assert lost == []
    assert "nobody thought of this" in caplog.text


async def test_whoever_cancels_the_work_itself_is_obeyed_and_the_right_given_back(database: Database) -> None:
    async def work() -> None:
        async with alone(database, CLOCK, "paper", "one", QUICK):
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await holder_of(database) is None

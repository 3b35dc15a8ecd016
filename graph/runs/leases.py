"""Being the one process that runs an account: a right in the ledger that ends by itself when its holder is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_core.domain.clock import Clock, iso
from trading_core.domain.errors import AlgoTrendyError, ConfigurationError, StoreUnavailable
from trading_core.persistence.desk_records import Lease
from trading_core.persistence.session import Database

_log = logging.getLogger("algotrendy.leases")
_LOOK = 0.5  # seconds between two looks at a lease that another has


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds.

    Attributes:
        lasts: from one renewal on; a process that is killed keeps others waiting for so long.
        renewed: between two renewals.
    """

    lasts: float = 20.0
    renewed: float = 5.0


def lease_of(account_id: str) -> str:
    """The name of the right to run an account."""
    return f"desk:{account_id}"


class LostLease(ConfigurationError):
    """Another process runs the account now, or may: this one must stop."""

    def __init__(self, account_id: str, why: str) -> None:
        super().__init__(
            f"this process runs account {account_id!r} no more: {why}",
            not_done="It stopped working on the account",
            next_step="Look which process runs it, and start this one again if none does",
        )
        self.account_id = account_id


@asynccontextmanager
async def holding(
    database: Database,
    clock: Clock,
    account_id: str,
    holder: str,
    lost: Callable[[LostLease], None],
    times: LeaseTimes = LeaseTimes(),
    *,
    waiting: Callable[[datetime], None] = lambda until: None,
) -> AsyncIterator[None]:
    """Hold the right to run an account until the block ends.

    A holder that was killed keeps it until it runs out, so one that is taken is waited for that long, or until its holder renews
    it and is seen to live. Whoever does not renew it for that long by this process's own count is dead, whatever the machines'
    clocks said: one that was years ahead must not keep an account for years.

    Args:
        lost: called once when the right went to another, or could not be renewed in time.
        waiting: called once with the end of another's lease, when there is one.

    Raises:
        ConfigurationError: another process has it and renews it.
        StoreUnavailable: the ledger cannot be reached.
    """
    name = lease_of(account_id)
    until = await _taken(database, clock, account_id, holder, times, waiting)
    keeper = asyncio.create_task(_keep(database, clock, account_id, holder, until, lost, times), name=f"lease {name}")
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        try:
            async with database.transaction() as uow:
                await uow.leases.give_back(name, holder)
        except AlgoTrendyError as error:  # it runs out by itself
            _log.warning("the lease %s was not given back: %s", name, error)


@asynccontextmanager
async def alone(
    database: Database, clock: Clock, account_id: str, holder: str, times: LeaseTimes = LeaseTimes()
) -> AsyncIterator[None]:
    """`holding` around work of this very task, which is cut off when the right is lost.

    Raises:
        LostLease: another process has the account now. What was begun is on record.
        ConfigurationError: another process has it and renews it.
        StoreUnavailable: the ledger cannot be reached.
    """
    task, lost = asyncio.current_task(), list[LostLease]()

    def stop(error: LostLease) -> None:
        lost.append(error)
        if task is not None:
            task.cancel()

    async with holding(database, clock, account_id, holder, stop, times):
        try:
            yield
        except asyncio.CancelledError:
            if not lost or task is None:
                raise
            task.uncancel()
            raise lost[0] from None


async def _taken(
    database: Database, clock: Clock, account_id: str, holder: str, times: LeaseTimes, waiting: Callable[[datetime], None]
) -> datetime:
    """Take it, and say until when by this machine's clock it is ours if it is not renewed."""
    name, loop = lease_of(account_id), asyncio.get_running_loop()
    first: Lease | None = None
    dead_from = 0.0
    while True:
        here, lasts = clock.now(), timedelta(seconds=times.lasts)
        async with database.transaction() as uow:
            now = await uow.leases.now(here)
            if await uow.leases.take(name, holder, now, now + lasts):
                return here + lasts
            is_dead = first is not None and loop.time() >= dead_from
            if first is not None and is_dead and await uow.leases.take_over(first, holder, now + lasts):
                return here + lasts
            other = await uow.leases.get(name)
        if other is not None and first is None:
            first, dead_from = other, loop.time() + times.lasts + 2 * _LOOK
            waiting(other.expires_at)
        renewed = other is not None and first is not None and other != first  # its holder lives, or there is another
        if renewed or is_dead:
            ends = f" until {iso(other.expires_at)}" if other else ""
            raise ConfigurationError(
                f"another process ({other.holder if other else 'unknown'}) runs account {account_id!r}{ends}, and renews it",
                not_done="It was not opened here",
                next_step="Stop that process, or serve its ledger beside it with --no-desk",
            )
        await asyncio.sleep(_LOOK)


async def _keep(
    database: Database,
    clock: Clock,
    account_id: str,
    holder: str,
    until: datetime,
    lost: Callable[[LostLease], None],
    times: LeaseTimes,
) -> None:
    while True:
        await asyncio.sleep(times.renewed)
        here, lasts = clock.now(), timedelta(seconds=times.lasts)
        try:
            # A renewal that hangs must not keep a right that has run out.
            async with asyncio.timeout(max((until - here).total_seconds(), 0.01)), database.transaction() as uow:
                now = await uow.leases.now(here)
                if not await uow.leases.take(lease_of(account_id), holder, now, now + lasts):
                    other = await uow.leases.get(lease_of(account_id))
                    lost(LostLease(account_id, f"process {other.holder if other else 'unknown'} took it over"))
                    return
                until = here + lasts
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("the lease of account %s was not renewed: %s", account_id, error or "the ledger does not answer")
        except Exception:  # whatever it was, a keeper that is no more would let another have the account beside this process
            _log.exception("the lease of account %s was not renewed", account_id)
        if clock.now() >= until:
            lost(LostLease(account_id, "its right could not be renewed in time"))
            return

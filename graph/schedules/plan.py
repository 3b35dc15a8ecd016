"""What a person says of a schedule, and whether it can be kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from graph.control.budgets import check_budget, session_of
from graph.control.pauses import SYMBOL
from graph.schedules.timetable import check_timing
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import Budget, Misfire, Overlap, Schedule
from trading_core.persistence.unit_of_work import UnitOfWork

LONGEST_NAME, MOST_SYMBOLS = 64, 50


@dataclass(frozen=True, slots=True)
class Plan:
    """The part of a schedule that is a person's to choose; fields are those of `Schedule`."""

    name: str
    cron: str | None = None
    every_seconds: int | None = None
    timezone: str = "UTC"
    symbols: tuple[str, ...] = ()
    misfire: Misfire = Misfire.SKIP
    overlap: Overlap = Overlap.SKIP
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def of(cls, schedule: Schedule) -> Plan:
        """What was chosen for a schedule that is there."""
        return cls(
            schedule.name,
            schedule.cron,
            schedule.every_seconds,
            schedule.timezone,
            schedule.symbols,
            schedule.misfire,
            schedule.overlap,
            schedule.budget,
        )

    def on(self, schedule: Schedule) -> Schedule:
        """A schedule with this chosen for it."""
        return replace(
            schedule,
            name=self.name,
            cron=self.cron,
            every_seconds=self.every_seconds,
            timezone=self.timezone,
            symbols=self.symbols,
            misfire=self.misfire,
            overlap=self.overlap,
            budget=self.budget,
        )

    @property
    def timing(self) -> tuple[str | None, int | None, str]:
        return self.cron, self.every_seconds, self.timezone

    async def check(self, uow: UnitOfWork, account_id: str, now: datetime) -> None:
        """Whether it can be kept on an account.

        Raises:
            InvalidInput: with the first thing that is wrong, and an example.
        """
        if (
            not self.name.strip()
            or self.name != self.name.strip()
            or len(self.name) > LONGEST_NAME
            or not self.name.isprintable()
        ):
            raise _refused(f"{self.name[:LONGEST_NAME]!r} is no name", f"Give 1 to {LONGEST_NAME} characters, such as hourly")
        check_timing(*self.timing, now)
        await self._check_symbols(uow, account_id)
        await check_budget(uow, account_id, self.budget)

    async def _check_symbols(self, uow: UnitOfWork, account_id: str) -> None:
        if len(set(self.symbols)) != len(self.symbols) or len(self.symbols) > MOST_SYMBOLS:
            raise _refused(
                f"of {len(self.symbols)} symbols {len(set(self.symbols))} are different", f"Name up to {MOST_SYMBOLS}, each once"
            )
        for symbol in self.symbols:
            if not SYMBOL.fullmatch(symbol):
                raise _refused(f"{symbol[:40]!r} is no symbol", "Write it like BTC/USDT")
        known = await _symbols_of(uow, account_id)
        for symbol in self.symbols if known else ():
            if symbol not in known:
                raise _refused(f"account {account_id!r} does not trade {symbol}", f"It trades {', '.join(known)}")


async def _symbols_of(uow: UnitOfWork, account_id: str) -> tuple[str, ...]:
    """What the account's newest session trades; nothing when there is none on record."""
    session = await session_of(uow, account_id)
    symbols = session.config.get("symbols") if session else None
    return tuple(str(symbol) for symbol in symbols) if isinstance(symbols, list | tuple) else ()


def _refused(what: str, next_step: str) -> InvalidInput:
    return InvalidInput(what, not_done="The schedule was not kept", next_step=next_step)

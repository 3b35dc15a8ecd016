"""What a person has stopped: an agent, a symbol, a schedule, or every cycle. It holds until somebody lifts it.

A pause is the desk's timetable: what is paused is not asked, looked at or begun. It is no halt: the gate knows nothing of it,
and what works at the venue goes on. To be sure that nothing trades, halt the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, RunError
from trading_core.domain.orders import Side
from trading_core.persistence.desk_records import Pause, PauseKind
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

LONGEST_REASON = 500
SYMBOL = re.compile(r"[A-Z0-9.\-]{1,20}/[A-Z0-9.\-]{1,20}")


@dataclass(frozen=True, slots=True)
class Paused:
    """The pauses of one account, by kind and subject."""

    pauses: Mapping[tuple[PauseKind, str], Pause]

    @classmethod
    def among(cls, pauses: Iterable[Pause]) -> Paused:
        return cls({(pause.kind, pause.subject): pause for pause in pauses})

    @classmethod
    async def of(cls, uow: UnitOfWork, account_id: str) -> Paused:
        """As they stand in this transaction."""
        return cls.among(await uow.pauses.of_account(account_id))

    @property
    def everything(self) -> Pause | None:
        return self.pauses.get((PauseKind.EVERYTHING, ""))

    def agent(self, name: str) -> Pause | None:
        return self.pauses.get((PauseKind.AGENT, name))

    def schedule(self, schedule_id: str) -> Pause | None:
        return self.pauses.get((PauseKind.SCHEDULE, schedule_id))

    def symbol(self, symbol: str) -> Pause | None:
        return self.pauses.get((PauseKind.SYMBOL, symbol))

    def of_cycle(self, symbols: Iterable[str]) -> tuple[Pause, ...]:
        """What keeps a cycle from looking at some of these symbols."""
        if self.everything is not None:
            return (self.everything,)
        return tuple(pause for symbol in symbols if (pause := self.symbol(symbol)) is not None)

    def bars(self, symbol: str, side: Side) -> Pause | None:
        """What stands against an order: in a paused symbol a holding may be sold, and nothing is bought."""
        return self.symbol(symbol) if side is Side.BUY else None


class Pauses:
    """Pausing and lifting, with who did it and why on the audit trail and in the account's events.

    Every method raises:
        NotPermitted: the principal may not control this account; to list, not even look at it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def all(self, who: Principal, account_id: str) -> tuple[Pause, ...]:
        """What is paused on an account."""
        who.require(Action.READ_RISK, account_id)
        async with self._database.reading() as uow:
            return await uow.pauses.of_account(account_id)

    async def put(self, who: Principal, account_id: str, kind: PauseKind, subject: str, reason: str) -> Pause:
        """Pause something from now on. What is paused already stays so, under its first reason.

        Raises:
            InvalidInput: there is no such thing to pause, or no reason.
        """
        who.require(Action.CONTROL_RISK, account_id)
        why = _reason(reason)
        async with self._database.transaction() as uow:
            pause = Pause(account_id, kind, await _subject(uow, account_id, kind, subject), who.name, why, self._clock.now())
            if not await uow.pauses.put(pause):
                return (await Paused.of(uow, account_id)).pauses[kind, pause.subject]
            told = {"kind": kind.value, "subject": pause.subject, "reason": why}
            await uow.events.append(account_id, "", "paused", pause.at, {**told, "by": who.name})
            await uow.audit.append(_entry(pause, who.name, AuditAction.PAUSED, pause.at, after=told))
            return pause

    async def lift(self, who: Principal, account_id: str, kind: PauseKind, subject: str, reason: str = "") -> Pause:
        """Let it go on. Ticks of schedules that fell into the pause are over: they are not made up for.

        Returns:
            The pause that was lifted.

        Raises:
            RunError: it was not paused.
        """
        who.require(Action.CONTROL_RISK, account_id)
        why = _reason(reason, needed=False)
        async with self._database.transaction() as uow:
            pause = await uow.pauses.lift(account_id, kind, subject)
            if pause is None:
                raise RunError(
                    f"{' '.join(part for part in (kind.value, subject) if part)} is not paused on account {account_id!r}",
                    not_done="Nothing was lifted",
                    next_step="List the pauses",
                )
            now = self._clock.now()
            await self._pass_by(uow, pause, now)
            was = {"kind": kind.value, "subject": subject, "reason": pause.reason, "by": pause.by, "at": pause.at}
            told = {"kind": kind.value, "subject": subject, "reason": why, "by": who.name}
            await uow.events.append(account_id, "", "unpaused", now, told)
            await uow.audit.append(_entry(pause, who.name, AuditAction.UNPAUSED, now, before=was, after={"reason": why}))
            return pause

    @staticmethod
    async def _pass_by(uow: UnitOfWork, pause: Pause, now: datetime) -> None:
        if pause.kind is PauseKind.SCHEDULE:
            await uow.schedules.take_tick(pause.subject, now)
        elif pause.kind is PauseKind.EVERYTHING:
            for schedule in await uow.schedules.all((pause.account_id,)):
                await uow.schedules.take_tick(schedule.id, now)


def _entry(
    pause: Pause,
    by: str,
    action: AuditAction,
    at: datetime,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> AuditEntry:
    if pause.kind is PauseKind.SCHEDULE:
        about = SubjectKind.SCHEDULE, pause.subject
    elif pause.kind is PauseKind.AGENT:
        about = SubjectKind.AGENT, f"{pause.account_id}:{pause.subject}"
    else:
        about = SubjectKind.ACCOUNT, pause.account_id
    return AuditEntry(at, by, action, *about, before, after)


async def _subject(uow: UnitOfWork, account_id: str, kind: PauseKind, subject: str) -> str:
    if kind is PauseKind.EVERYTHING:
        if subject:
            raise _no_such(f"a pause of everything is of nothing in particular, not of {subject!r}", "Leave the subject out")
    elif kind is PauseKind.AGENT:
        if subject not in AGENT_ACTIONS:
            raise _no_such(f"no agent is called {subject!r}", f"They are {', '.join(AGENT_ACTIONS)}")
    elif kind is PauseKind.SYMBOL:
        if not SYMBOL.fullmatch(subject):
            raise _no_such(f"{subject!r} is no symbol", "Write it like BTC/USDT")
    else:
        schedule = await uow.schedules.get(subject)
        if schedule is None or schedule.account_id != account_id or schedule.deleted_at is not None:
            raise _no_such(f"account {account_id!r} has no schedule {subject!r}", "List the schedules")
    return subject


def _no_such(what: str, next_step: str) -> InvalidInput:
    return InvalidInput(what, not_done="Nothing was paused", next_step=next_step)


def _reason(text: str, *, needed: bool = True) -> str:
    why = text.strip()
    if (needed and not why) or len(why) > LONGEST_REASON:
        raise InvalidInput(
            f"the reason has {len(why)} characters" if why else "a pause needs a reason",
            not_done="Nothing was changed",
            next_step=f"Say why, in at most {LONGEST_REASON} characters",
        )
    return why

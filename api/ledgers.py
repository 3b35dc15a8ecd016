"""Finding runs and approvals over every session: in the files of the home folder, or in the one database that holds them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from api.home import shown_location
from graph.folders import ACCOUNT, PRACTICE, Folders
from trading_core.domain.errors import ApprovalError, RunError
from trading_core.domain.intents import Approval, TradeIntent
from trading_core.persistence.records import RunRecord, SessionRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

LAST = "last"
_NAMED = 3  # ids that an error about an ambiguous one lists
_LIKE = 100  # runs whose ids begin alike that are looked at


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run, its session, and where both are."""

    folders: Folders
    run: RunRecord
    session: SessionRecord


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session, where it is, and the time its own clock has come to."""

    folders: Folders
    session: SessionRecord
    at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run for a list; `pending` are the intents it waits for."""

    run: RunRecord
    session: SessionRecord | None
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundApproval:
    """What an operator is asked, and in which run."""

    run: FoundRun
    intent: TradeIntent
    approval: Approval


async def recent_runs(home: Path, limit: int, location: str | None = None) -> list[RunRow]:
    """The newest runs of the sessions that were written to last, conversations apart."""
    rows: list[RunRow] = []
    for folders in Folders.all_in(home, location):
        if len(rows) >= limit:
            break
        async with await Database.open(folders.ledger) as database, database.reading() as uow:
            for run in await uow.runs.recent(limit - len(rows), conversations=False):
                session = await uow.sessions.get(run.session_id) if run.session_id else None
                asked = await uow.approvals.of_run(run.id)
                rows.append(RunRow(run, session, tuple(one.intent_id for one in asked if one.state.value == "pending")))
    return rows


async def find_run(home: Path, prefix: str, location: str | None = None) -> FoundRun:
    """The one run whose id begins with `prefix`; with `last`, the newest of the session that was written to last that
    is no conversation.

    Raises:
        RunError: there is none, or more than one.
    """
    found: list[FoundRun] = []
    for folders in Folders.all_in(home, location):
        # A simulation's folder is named for its session, with whose id the ids of its runs begin.
        name = folders.session.name
        if prefix != LAST and folders.is_simulation and not (name.startswith(prefix) or prefix.startswith(name)):
            continue
        async with await Database.open(folders.ledger) as database, database.reading() as uow:
            for run in await (uow.runs.recent(1, conversations=False) if prefix == LAST else uow.runs.beginning(prefix, _LIKE)):
                found.append(await _with_session(uow, folders, run))
        if found and prefix == LAST:
            return found[0]
    exact = [item for item in found if item.run.id == prefix]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if not found:
        raise RunError(
            f"there is no run {prefix!r} in {_place(home, location)}",
            not_done="Nothing was done",
            next_step="`algotrendy runs` lists them",
        )
    named = ", ".join(item.run.id for item in found[:_NAMED])
    raise RunError(f"{len(found)} runs begin with {prefix!r}", not_done="Nothing was done", next_step=f"Give more of it: {named}")


async def find_session(home: Path, prefix: str | None = None, location: str | None = None) -> FoundSession:
    """The one session whose id begins with `prefix`; without it the live desk, or else the session that was written to last.

    Raises:
        RunError: there is none, or more than one.
    """
    found: list[FoundSession] = []
    # Sorting keeps the order otherwise: the desk first, and then what was written to last.
    for folders in sorted(Folders.all_in(home, location), key=lambda each: each.session != home / "desk"):
        async with await Database.open(folders.ledger) as database, database.reading() as uow:
            last = await _last_run(uow) if prefix is None else None
            chosen = await uow.sessions.get(last.session_id) if last and last.session_id else None
            known = (chosen,) if chosen else await uow.sessions.all()
            for session in known:
                if session.id.startswith(prefix or ""):
                    run = await uow.runs.last(session.id)
                    found.append(FoundSession(_own(folders, session), session, run.as_of if run else session.created_at))
        if found and prefix is None:
            return found[0]
    if len(found) == 1:
        return found[0]
    if not found:
        wanted = f"no session {prefix!r}" if prefix else "no session"
        raise RunError(
            f"there is {wanted} in {_place(home, location)}",
            not_done="Nothing was done",
            next_step="`algotrendy runs` lists them",
        )
    named = ", ".join(item.session.id for item in found[:_NAMED])
    raise RunError(
        f"{len(found)} sessions begin with {prefix!r}", not_done="Nothing was done", next_step=f"Give more of it: {named}"
    )


async def find_account(home: Path, account_id: str, location: str | None = None) -> FoundSession:
    """The newest session that traded on an account.

    Raises:
        RunError: none has.
    """
    for folders in Folders.all_in(home, location):
        async with await Database.open(folders.ledger) as database, database.reading() as uow:
            run = await uow.runs.last_of_account(account_id)
            session = await uow.sessions.get(run.session_id) if run and run.session_id else None
        if run is not None and session is not None:
            return FoundSession(_own(folders, session), session, run.as_of)
    raise RunError(
        f"no session has traded on account {account_id!r} yet",
        not_done="Nothing was done",
        next_step=f"`algotrendy run --market live --broker {account_id}` begins one",
    )


async def find_approval(home: Path, prefix: str, location: str | None = None) -> FoundApproval:
    """The one pending approval whose intent's id begins with `prefix`.

    Raises:
        ApprovalError: there is none, more than one, or it is decided already.
    """
    found: list[FoundApproval] = []
    decided: Approval | None = None
    for folders in Folders.all_in(home, location):
        async with await Database.open(folders.ledger) as database, database.reading() as uow:
            decided = decided or await uow.approvals.get(prefix)
            for approval in await uow.approvals.pending():
                if not prefix or not approval.intent_id.startswith(prefix):
                    continue
                intent = await uow.intents.get(approval.intent_id)
                run = await uow.runs.get(intent.run_id) if intent else None
                if intent and run:
                    found.append(FoundApproval(await _with_session(uow, folders, run), intent, approval))
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(item.intent.intent_id[:12] for item in found[:_NAMED])
        raise ApprovalError(
            f"{len(found)} intents begin with {prefix!r}", not_done="None was decided", next_step=f"Give more: {named}"
        )
    said = f"it is {decided.state.value} already" if decided else "none that begins so waits for an operator"
    raise ApprovalError(
        f"intent {prefix!r} cannot be decided: {said}",
        not_done="Nothing was changed",
        next_step="`algotrendy runs` shows what waits",
    )


async def _with_session(uow: UnitOfWork, folders: Folders, run: RunRecord) -> FoundRun:
    session = await uow.sessions.get(run.session_id) if run.session_id else None
    if session is None:
        raise RunError(f"run {run.id!r} has no session on record", not_done="Nothing was done", next_step="Start a new one")
    return FoundRun(_own(folders, session), run, session)


async def _last_run(uow: UnitOfWork) -> RunRecord | None:
    """The live desk's last run, or else the last of all."""
    names = [ACCOUNT, PRACTICE, *(account.id for account in await uow.broker_accounts.all())]
    live = [run for name in names if (run := await uow.runs.last_of_account(name)) is not None]
    return max(live, key=lambda run: run.started_at, default=None) or next(iter(await uow.runs.recent(1)), None)


def _own(folders: Folders, session: SessionRecord) -> Folders:
    """What is the session's own: where ledgers are shared, it is told by the session."""
    at_venue = session.config.get("account")
    account = str(at_venue["id"]) if isinstance(at_venue, Mapping) else None
    market = session.config.get("market")
    practice = market == "practice"
    if folders.database is None:
        return replace(folders, venue_account=account, is_practice=practice)
    simulated = market not in ("live", "practice")
    return folders.of_session(session.id, simulated=simulated, venue_account=account, practice=practice)


def _place(home: Path, location: str | None) -> str:
    return str(home) if location is None else shown_location(location)

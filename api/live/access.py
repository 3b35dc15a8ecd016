"""Who may see what a run tells: whoever asked for it, and who may read the record. A conversation is its owner's alone."""

from __future__ import annotations

from dataclasses import dataclass

from api.http.problems import NotFound
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import NotPermitted
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What decides who sees a run.

    Attributes:
        requested_by: a principal's name; empty for runs of the command line's own loop.
    """

    run_id: str
    account_id: str
    kind: RunKind
    requested_by: str

    @classmethod
    def of(cls, record: RunRecord, request: RunRequest | None) -> RunFacts:
        return cls(record.id, record.account_id, record.kind, "" if request is None else request.requested_by)

    @property
    def is_private(self) -> bool:
        """Whether nobody but the one who asked may see it."""
        return self.kind is RunKind.CONVERSATION

    @property
    def own_needs(self) -> Action:
        """What whoever asked for it must be allowed to see it: a key can be good for less than its user."""
        return Action.READ_PORTFOLIO if self.is_private else Action.READ_ORDERS


def may_see(who: Principal, run: RunFacts) -> bool:
    """Whether somebody may see all that a run tells."""
    if run.account_id not in who.accounts:
        return False
    if who.name == run.requested_by and who.may(run.own_needs, run.account_id):
        return True
    return not run.is_private and who.may(Action.READ_RECORD, run.account_id)


def require_seen(who: Principal, run: RunFacts) -> None:
    """Go on only when somebody may see all that a run tells.

    Raises:
        NotFound: the account is none of theirs, or it is somebody else's conversation: as if there were no such run.
        NotPermitted: they may know of the run, and not read it.
    """
    if may_see(who, run):
        return
    own = who.name == run.requested_by
    if run.account_id not in who.accounts or (run.is_private and not own):
        raise no_such_run(run.run_id)
    who.require(run.own_needs if own else Action.READ_RECORD, run.account_id)
    raise NotPermitted(f"{who.name!r} may not read run {run.run_id!r}", not_done="Nothing was read")


async def facts_of(database: Database, run_id: str) -> RunFacts | None:
    """What decides who sees a run; None when there is no such run.

    Raises:
        StoreUnavailable: the ledger cannot be read.
    """
    async with database.reading() as uow:
        record, request = await uow.runs.get(run_id), await uow.run_requests.get(run_id)
    return None if record is None else RunFacts.of(record, request)


def no_such_run(run_id: str) -> NotFound:
    """The one answer for runs that are not there and those that are none of the caller's."""
    return NotFound(
        f"no run is called {run_id!r}", not_done="Nothing was done", next_step="GET /api/v1/runs lists those you may see"
    )

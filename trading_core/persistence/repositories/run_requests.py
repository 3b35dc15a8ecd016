"""Why runs are there, who works on them, and what they have used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, update

from trading_core.domain.errors import RunError
from trading_core.domain.intents import ApprovalState
from trading_core.domain.orders import Purpose
from trading_core.persistence.desk_records import RunRequest, Used
from trading_core.persistence.desk_tables import messages, run_requests, schedules
from trading_core.persistence.records import OPEN_STATES, RunKind, RunState
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import approvals, decisions, intents, orders, runs
from trading_core.persistence.types import Text

_LONGEST_CLAIM = timedelta(days=1)  # far longer than any


class RunRequestsRepository(Repository):
    async def add(self, request: RunRequest) -> bool:
        """Write why a run is there, in the transaction that queues it. False when the same request is on record.

        Raises:
            RunError: the run was asked for by somebody else, or for something else.
        """
        if await self._add(run_requests, columns(request), run_requests.c.run_id):
            return True
        known = await self.get(request.run_id)
        if known is None or _payload(known) != _payload(request):
            raise RunError(
                f"run {request.run_id!r} was asked for with another payload",
                not_done="It was not asked for again",
                next_step="Use a new id for a new run",
            )
        return False

    async def get(self, run_id: str) -> RunRequest | None:
        row = await self._one(select(run_requests).where(run_requests.c.run_id == run_id))
        return None if row is None else RunRequest(**row)

    async def open_by(self, requested_by: str, account_id: str, kind: RunKind) -> int:
        """How many of the account's runs of a kind are not over that somebody has asked for."""
        query = select(func.count().label("open")).select_from(runs.join(run_requests, runs.c.id == run_requests.c.run_id))
        query = query.where(runs.c.account_id == account_id, runs.c.state.in_(OPEN_STATES), runs.c.kind == kind)
        row = await self._one(query.where(run_requests.c.requested_by == requested_by))
        return 0 if row is None else int(row["open"])

    async def claimable(self, account_id: str, now: datetime, kinds: Collection[RunKind]) -> bool:
        """Whether there is anything to claim; asked before, since claiming waits for all who write."""
        return await self._one(_free(account_id, now, kinds).limit(1)) is not None

    async def claim(
        self,
        account_id: str,
        holder: str,
        now: datetime,
        until: datetime,
        limit: int,
        kinds: Collection[RunKind] = tuple(RunKind),
    ) -> tuple[RunRequest, ...]:
        """Take runs of an account to work on until `until`: those queued, and those left running, that nobody has a claim to
        at `now`. Oldest first. Of several who claim at once, each run goes to one.
        """
        found = (
            _free(account_id, now, kinds)
            .order_by(runs.c.sequence + 0)  # by the bare column, SQLite would walk all of the account's runs in its order
            .limit(limit)
            .with_for_update(of=run_requests, skip_locked=True)  # PostgreSQL's; on SQLite the whole file is locked
        )
        ids = [row["run_id"] for row in await self._all(found)]
        if not ids:
            return ()
        taking = update(run_requests).where(run_requests.c.run_id.in_(ids)).values(claimed_by=holder, claimed_until=until)
        rows = (await self._connection.execute(taking.returning(*run_requests.c))).mappings()
        taken = {row["run_id"]: RunRequest(**row) for row in rows}
        return tuple(taken[run_id] for run_id in ids)

    async def renew(self, run_ids: Collection[str], holder: str, until: datetime) -> frozenset[str]:
        """Keep claims for longer; those of `run_ids` that are still the holder's. The others are somebody else's by now."""
        if not run_ids:
            return frozenset()
        mine = (run_requests.c.run_id.in_(sorted(run_ids)), run_requests.c.claimed_by == holder)
        keeping = update(run_requests).where(*mine).values(claimed_until=until).returning(run_requests.c.run_id)
        return frozenset((await self._connection.execute(keeping)).scalars())

    async def release(self, run_id: str, holder: str) -> bool:
        """Give a claim back, so that another may take the run at once. False when it is not the holder's."""
        mine = (run_requests.c.run_id == run_id, run_requests.c.claimed_by == holder)
        done = await self._connection.execute(update(run_requests).where(*mine).values(claimed_by=None, claimed_until=None))
        return done.rowcount == 1

    async def release_others(self, account_id: str, holder: str) -> None:
        """Free the account's runs of claims that are not the holder's: for the one process that has the right to run it."""
        theirs = (run_requests.c.account_id == account_id, run_requests.c.claimed_by != holder)
        await self._connection.execute(update(run_requests).where(*theirs).values(claimed_by=None, claimed_until=None))

    async def answered(self, account_id: str, now: datetime) -> tuple[str, ...]:
        """Ids of waiting runs that need wait no more: all that they ask is answered or too late, or somebody wants them stopped.

        Oldest first. Runs of the command line's own loop are not among them.
        """
        asked = select(approvals.c.intent_id).select_from(approvals.join(intents)).where(intents.c.run_id == runs.c.id)
        still = asked.where(approvals.c.state == ApprovalState.PENDING, approvals.c.expires_at >= now)
        ready = or_(run_requests.c.cancel_requested_by.is_not(None), and_(asked.exists(), ~still.exists()))
        query = select(runs.c.id, runs.c.sequence).join(run_requests, run_requests.c.run_id == runs.c.id)
        query = query.where(runs.c.account_id == account_id, runs.c.state == RunState.WAITING, ready)
        return tuple(row["id"] for row in sorted(await self._all(query), key=lambda row: int(row["sequence"])))

    async def ask_cancel(self, run_id: str, by: str) -> bool:
        """Ask that a run stops at its next safe boundary; who asked first stays. False when it is over, or has no request."""
        going = select(runs.c.id).where(runs.c.id == run_id, runs.c.state.in_(OPEN_STATES))
        asking = update(run_requests).where(run_requests.c.run_id == run_id, going.exists())
        asking = asking.values(cancel_requested_by=func.coalesce(run_requests.c.cancel_requested_by, literal(by, Text)))
        return (await self._connection.execute(asking)).rowcount == 1

    async def cancelled(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of `run_ids` that somebody wants stopped."""
        if not run_ids:
            return frozenset()
        asked = (run_requests.c.run_id.in_(sorted(run_ids)), run_requests.c.cancel_requested_by.is_not(None))
        return frozenset(row["run_id"] for row in await self._all(select(run_requests.c.run_id).where(*asked)))

    async def of_conversation(self, conversation_id: str, limit: int) -> tuple[RunRequest, ...]:
        """The last turns of a conversation, newest first."""
        query = select(run_requests).where(run_requests.c.conversation_id == conversation_id)
        newest_first = (run_requests.c.requested_at.desc(), run_requests.c.run_id.desc())
        return tuple(RunRequest(**row) for row in await self._all(query.order_by(*newest_first).limit(limit)))

    async def open_of_schedule(self, schedule_id: str) -> tuple[str, ...]:
        """Ids of the schedule's runs that have not ended, oldest first."""
        # From the account's open runs, of which there are few, rather than from all that the schedule ever made.
        account = select(schedules.c.account_id).where(schedules.c.id == schedule_id).scalar_subquery()
        query = select(runs.c.id, runs.c.sequence).join(run_requests, run_requests.c.run_id == runs.c.id)
        query = query.where(
            runs.c.account_id == account, runs.c.state.in_(OPEN_STATES), run_requests.c.schedule_id == schedule_id
        )
        return tuple(row["id"] for row in sorted(await self._all(query), key=lambda row: int(row["sequence"])))

    async def used_by_schedule(self, schedule_id: str, since: datetime) -> Used:
        """What the schedule's runs that were asked for at or after `since` have used."""
        mine = select(run_requests.c.run_id).where(
            run_requests.c.schedule_id == schedule_id, run_requests.c.requested_at >= since
        )
        return await self._used(mine)

    async def used_by_agent(self, account_id: str, agent: str, since: datetime) -> Used:
        """What one agent has used in the account's runs that began at or after `since`."""
        mine = select(runs.c.id).where(runs.c.account_id == account_id, runs.c.started_at >= since)
        return await self._used(mine, agent)

    async def largest_by_agent(self, account_id: str, agent: str, since: datetime) -> Used:
        """No less than what any one decision or message of an agent has used in the account's runs that began at or after
        `since`."""
        mine = select(runs.c.id).where(runs.c.account_id == account_id, runs.c.started_at >= since)
        most = (func.max(decisions.c.input_tokens).label("taken"), func.max(decisions.c.output_tokens).label("given"))
        query = select(decisions.c.model, *most).where(decisions.c.run_id.in_(mine), decisions.c.agent == agent)
        by_model = {
            row["model"]: (int(row["taken"]), int(row["given"])) for row in await self._all(query.group_by(decisions.c.model))
        }
        for model, taken, given in await self._said(mine, agent):
            before = by_model.get(model, (0, 0))
            by_model[model] = max(before[0], taken), max(before[1], given)
        return Used(max(map(sum, by_model.values()), default=0), by_model, 0)

    async def _used(self, of_runs: Select[tuple[str]], agent: str | None = None) -> Used:
        by_model: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))

        def count(model: str, taken: int, given: int) -> None:
            before = by_model[model]
            by_model[model] = (before[0] + taken, before[1] + given)

        sums = (func.sum(decisions.c.input_tokens).label("taken"), func.sum(decisions.c.output_tokens).label("given"))
        decided = select(decisions.c.model, *sums).where(decisions.c.run_id.in_(of_runs), *_by(decisions.c.agent, agent))
        for row in await self._all(decided.group_by(decisions.c.model)):
            count(row["model"] or "", _number(row["taken"]), _number(row["given"]))
        for model, taken, given in await self._said(of_runs, agent):
            count(model, taken, given)
        spent = {model: tokens for model, tokens in by_model.items() if any(tokens)}
        return Used(sum(map(sum, spent.values())), spent, await self._orders(of_runs, agent))

    async def _said(self, of_runs: Select[tuple[str]], agent: str | None) -> list[tuple[str, int, int]]:
        """Model, input tokens and output tokens of each message of agents that tells them."""
        query = select(messages.c.data).where(messages.c.run_id.in_(of_runs), *_by(messages.c.agent, agent))
        used = [row["data"].get("usage") for row in await self._all(query)]
        return [
            (str(usage.get("model") or ""), _number(usage.get("input_tokens")), _number(usage.get("output_tokens")))
            for usage in used
            if isinstance(usage, Mapping)
        ]

    async def _orders(self, of_runs: Select[tuple[str]], agent: str | None) -> int:
        query = select(func.count()).select_from(orders).where(orders.c.run_id.in_(of_runs), orders.c.purpose != Purpose.STOP)
        if agent is not None:
            wanted = and_(intents.c.intent_id == orders.c.intent_id, intents.c.proposer == f"agent:{agent}")
            query = query.where(select(intents.c.intent_id).where(wanted).exists())
        return int((await self._connection.execute(query)).scalar_one())


def _free(account_id: str, now: datetime, kinds: Collection[RunKind]) -> Select[tuple[str]]:
    """Runs to be worked on that nobody has a claim to, or whose claim was made by a clock that has been set back since."""
    until = run_requests.c.claimed_until
    free = or_(until.is_(None), until <= now, until > now + _LONGEST_CLAIM)
    open_ones = (runs.c.account_id == account_id, runs.c.state.in_((RunState.QUEUED, RunState.RUNNING)))
    query = select(run_requests.c.run_id).join(runs, runs.c.id == run_requests.c.run_id)
    return query.where(*open_ones, runs.c.kind.in_(sorted(kinds)), free)


def _by(column: ColumnElement[str], agent: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if agent is None else (column == agent,)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _payload(request: RunRequest) -> tuple[object, ...]:
    return request.account_id, request.requested_by, request.trigger, request.payload

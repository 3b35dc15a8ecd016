"""What the agents decided, and the tool results they decided on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select

from trading_core.domain.errors import LedgerError
from trading_core.persistence.records import DecisionRecord, EvidenceRecord, RunKind
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import decisions, evidence, runs

# Of a subject that is new, or that nobody decides on any more, the whole history would be searched.
LOOKS_BACK = 500


class DecisionsRepository(Repository):
    async def put(self, record: DecisionRecord) -> None:
        """Write a decision; the same agent on the same subject in the same run replaces its earlier one."""
        await self.put_many([record])

    async def put_many(self, records: Sequence[DecisionRecord]) -> None:
        """`put` for several at once."""
        await self._put(decisions, [columns(record) for record in records])

    async def get(self, run_id: str, agent: str, subject: str) -> DecisionRecord | None:
        row = await self._one(
            select(decisions).where(decisions.c.run_id == run_id, decisions.c.agent == agent, decisions.c.subject == subject)
        )
        return None if row is None else DecisionRecord(**row)

    async def of_run(self, run_id: str) -> tuple[DecisionRecord, ...]:
        """Oldest first; those of one instant by agent and subject."""
        order = (decisions.c.created_at, decisions.c.agent, decisions.c.subject)
        rows = await self._all(select(decisions).where(decisions.c.run_id == run_id).order_by(*order))
        return tuple(DecisionRecord(**row) for row in rows)

    async def recent(self, account_id: str, agent: str, subject: str, limit: int) -> tuple[DecisionRecord, ...]:
        """One agent's last decisions on a subject in the account's last `LOOKS_BACK` runs but conversations, newest run first."""
        lately = (
            select(runs.c.id, runs.c.sequence)
            .where(runs.c.account_id == account_id, runs.c.kind != RunKind.CONVERSATION)
            .order_by(runs.c.sequence.desc())
            .limit(LOOKS_BACK)
            .subquery()
        )
        query = (
            select(decisions)
            .join(lately, lately.c.id == decisions.c.run_id)
            .where(decisions.c.agent == agent, decisions.c.subject == subject)
            .order_by(lately.c.sequence.desc())
            .limit(limit)
        )
        return tuple(DecisionRecord(**row) for row in await self._all(query))

    async def calls_since(self, account_id: str, since: datetime) -> Mapping[str, int]:
        """How often each agent called its model in the account's runs that began at or after `since`."""
        lately = select(runs.c.id).where(runs.c.account_id == account_id, runs.c.started_at >= since)
        calls = func.sum(decisions.c.model_calls).label("calls")
        query = select(decisions.c.agent, calls).where(decisions.c.run_id.in_(lately)).group_by(decisions.c.agent)
        return {row["agent"]: int(row["calls"]) for row in await self._all(query)}

    async def of_input(self, input_hash: str) -> tuple[DecisionRecord, ...]:
        """Every decision made on the same input, oldest first."""
        order = (decisions.c.created_at, decisions.c.run_id, decisions.c.agent, decisions.c.subject)
        rows = await self._all(select(decisions).where(decisions.c.input_hash == input_hash).order_by(*order))
        return tuple(DecisionRecord(**row) for row in rows)


class EvidenceRepository(Repository):
    async def put_many(self, records: Sequence[EvidenceRecord]) -> None:
        """Write tool results. Those already on record are left as they are.

        Raises:
            LedgerError: an id of the run is on record with another content. A cited number must not change afterwards.
        """
        if not records:
            return
        insert = self._insert(evidence).on_conflict_do_nothing(index_elements=[evidence.c.run_id, evidence.c.id])
        new = await self._connection.execute(insert.returning(evidence.c.id), [columns(record) for record in records])
        if len(new.all()) == len(records):
            return
        await self._compare(records)

    async def of_run(self, run_id: str) -> tuple[EvidenceRecord, ...]:
        """Oldest first; those of one instant by agent, subject and id."""
        order = (evidence.c.created_at, evidence.c.agent, evidence.c.subject, evidence.c.id)
        rows = await self._all(select(evidence).where(evidence.c.run_id == run_id).order_by(*order))
        return tuple(EvidenceRecord(**row) for row in rows)

    async def _compare(self, records: Sequence[EvidenceRecord]) -> None:
        for run_id in {record.run_id for record in records}:
            ids = {record.id for record in records if record.run_id == run_id}
            rows = await self._all(select(evidence).where(evidence.c.run_id == run_id, evidence.c.id.in_(ids)))
            known = {row["id"]: _read(EvidenceRecord(**row)) for row in rows}
            for record in records:
                # Two agents may read the same fact, and a resumed run reads its own again: what was read must agree, not who
                # and when.
                if record.run_id == run_id and known.get(record.id) != _read(record):
                    raise LedgerError(
                        f"evidence {record.id!r} of run {run_id!r} is on record with another content",
                        not_done="It was not written",
                        next_step="Give a new tool result a new id",
                    )


def _read(record: EvidenceRecord) -> tuple[object, ...]:
    written = columns(record)
    return tuple(written[name] for name in ("run_id", "id", "tool", "arguments", "result"))

"""The ledger as agents' tools and the answer cache see it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agents.agent import AnswerStore
from tools.context import Facts, RunRecord, number
from trading_core.domain.clock import Clock, iso
from trading_core.execution.quality import ExecutionQuality, measure
from trading_core.persistence.records import AnswerRecord, Outcome
from trading_core.persistence.session import Database

_LOOKS_BACK = timedelta(days=30)


class LedgerRecord(RunRecord):
    """What earlier runs of an account decided, and how their orders went."""

    def __init__(self, database: Database, account_id: str, clock: Clock) -> None:
        self._database, self._account_id, self._clock = database, account_id, clock

    async def past_decisions(self, symbol: str, limit: int) -> list[Facts]:
        async with self._database.reading() as uow:
            kept = await uow.decisions.recent(self._account_id, "signal", symbol, limit)
        return [
            {
                "at": iso(record.created_at),
                "outcome": record.outcome.value,
                "action": (record.answer or {}).get("action"),
                "conviction": (record.answer or {}).get("conviction"),
            }
            for record in kept
        ]

    async def execution_quality(self, limit: int) -> list[Facts]:
        async with self._database.reading() as uow:
            sent = await uow.orders.last_priced(self._account_id, self._clock.now() - _LOOKS_BACK, limit)
            measured = [measure(order, await uow.fills.of_order(order.client_order_id)) for order in sent]
        return [_quality(found) for found in measured]


def _quality(found: ExecutionQuality) -> Facts:
    order, waited = found.order, found.last_fill_after
    return {
        "symbol": order.symbol,
        "purpose": order.purpose.value,
        "state": order.state.value,
        "fill_ratio": number(found.fill_ratio),
        "slippage": None if found.slippage is None else round(float(found.slippage), 6),
        "seconds_to_last_fill": None if waited is None else round(waited.total_seconds(), 3),
        "fees": {asset: number(paid) for asset, paid in found.fees.items()},
    }


class LedgerAnswers(AnswerStore):
    """Model answers by input hash, in a database that outlives sessions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def get(self, key: str) -> dict[str, Any] | None:
        async with self._database.reading() as uow:
            kept = await uow.answers.get(key)
        return None if kept is None or kept.answer is None else dict(kept.answer)

    async def put(self, key: str, agent: str, model: str, content: dict[str, Any]) -> None:
        record = AnswerRecord(key, agent, model, Outcome.ANSWERED, content, {}, self._clock.now())
        async with self._database.transaction() as uow:
            await uow.answers.put(record)

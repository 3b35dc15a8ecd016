"""What was wanted, and what the gate said to it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, bindparam, func, select

from trading_core.domain.errors import IntentConflict
from trading_core.domain.intents import ApprovalState, Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Side
from trading_core.persistence.records import OPEN_STATES, RunKind
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.tables import approvals, intents, orders, risk_decisions, runs

# Of a symbol that nobody wants any more, the whole history would be searched.
LOOKS_BACK = 500
LAST_CHARACTER = "\U0010ffff"

_REFUSED = select(risk_decisions.c.intent_id).where(
    risk_decisions.c.intent_id == intents.c.intent_id, risk_decisions.c.verdict == Verdict.DENIED
)
_TURNED_DOWN = select(approvals.c.intent_id).where(
    approvals.c.intent_id == intents.c.intent_id,
    approvals.c.state.in_((ApprovalState.REJECTED, ApprovalState.EXPIRED)),
)
_SENT = select(orders.c.intent_id).where(orders.c.intent_id == intents.c.intent_id)
_WAITING = (
    select(intents)
    .join(runs, runs.c.id == intents.c.run_id)
    .where(
        runs.c.account_id == bindparam("account_id"),
        runs.c.state.in_(OPEN_STATES),
        ~_REFUSED.exists(),
        ~_TURNED_DOWN.exists(),
        ~_SENT.exists(),
    )
    .order_by(intents.c.created_at, intents.c.intent_id)
)
_SAID = select(func.coalesce(func.max(risk_decisions.c.sequence), 0) + 1)
_DECIDED = risk_decisions.insert().values(
    sequence=_SAID.where(risk_decisions.c.intent_id == bindparam("of_intent")).scalar_subquery(),
    **{name: bindparam(name) for name in ("intent_id", "verdict", "checks", "decided_at")},
)
_INTENT = select(intents).where(intents.c.intent_id == bindparam("intent_id"))
_DECISIONS = (
    select(risk_decisions).where(risk_decisions.c.intent_id == bindparam("intent_id")).order_by(risk_decisions.c.sequence)
)
_COUNT = select(func.count()).where(
    intents.c.run_id == bindparam("run_id"),
    intents.c.symbol == bindparam("symbol"),
    intents.c.proposer == bindparam("proposer"),
)
_LAST_ENTRY = (
    select(intents, orders.c.created_at.label("ordered_at"))
    .join(orders, orders.c.intent_id == intents.c.intent_id)
    .where(
        orders.c.account_id == bindparam("account_id"),
        orders.c.symbol == bindparam("symbol"),
        orders.c.side == Side.BUY,
        orders.c.filled != ZERO,
    )
    .order_by(orders.c.created_at.desc(), orders.c.client_order_id)
    .limit(1)
)


class IntentsRepository(Repository):
    async def add(self, intent: TradeIntent) -> bool:
        """Write an intent. False when the same one is already there.

        Raises:
            IntentConflict: the id is on record with another content.
        """
        await self._claims.take(intent.account_id)
        content_hash = intent.content_hash
        if await self._add(intents, columns(intent) | {"content_hash": content_hash}, intents.c.intent_id):
            return True
        known = await self._one(select(intents.c.content_hash).where(intents.c.intent_id == intent.intent_id))
        if known is None or known["content_hash"] != content_hash:
            raise IntentConflict(
                f"intent {intent.intent_id!r} is on record with another content",
                not_done="It was not written and nothing was sent",
                next_step="Use a new run or leg for a new intent",
            )
        return False

    async def get(self, intent_id: str) -> TradeIntent | None:
        row = await self._one(_INTENT, intent_id=intent_id)
        return None if row is None else TradeIntent(**without(row, "content_hash"))

    async def of_run(self, run_id: str) -> tuple[TradeIntent, ...]:
        """Oldest first; those of one instant by id."""
        query = select(intents).where(intents.c.run_id == run_id).order_by(intents.c.created_at, intents.c.intent_id)
        return tuple(TradeIntent(**without(row, "content_hash")) for row in await self._all(query))

    async def lately(self, account_id: str, symbol: str, limit: int) -> tuple[TradeIntent, ...]:
        """What was wanted of a symbol in the account's last `LOOKS_BACK` runs but conversations, newest run first."""
        late = (
            select(runs.c.id, runs.c.sequence)
            .where(runs.c.account_id == account_id, runs.c.kind != RunKind.CONVERSATION)
            .order_by(runs.c.sequence.desc())
            .limit(LOOKS_BACK)
            .subquery()
        )
        query = select(intents).join(late, late.c.id == intents.c.run_id).where(intents.c.symbol == symbol)
        rows = await self._all(query.order_by(late.c.sequence.desc(), intents.c.intent_id).limit(limit))
        return tuple(TradeIntent(**without(row, "content_hash")) for row in rows)

    async def beginning(self, account_id: str, prefix: str, limit: int) -> tuple[TradeIntent, ...]:
        """The account's intents whose id begins with `prefix`, by id."""
        # Ids sort by code point, so those with a prefix lie side by side in the index.
        near = (intents.c.intent_id >= prefix, intents.c.intent_id < prefix + LAST_CHARACTER)
        query = select(intents).where(*near, intents.c.account_id == account_id).order_by(intents.c.intent_id).limit(limit)
        return tuple(TradeIntent(**without(row, "content_hash")) for row in await self._all(query))

    async def add_decision(self, decision: RiskDecision) -> None:
        """Append what the gate said; the intent must be on record and its account claimed."""
        checks = [
            {"code": one.code, "passed": one.passed, "found": one.found, "limit": one.limit, "detail": one.detail}
            for one in decision.checks
        ]
        row = columns(decision) | {"of_intent": decision.intent_id, "checks": checks}
        await self._write(_DECIDED, row)

    async def decisions_of(self, intent_id: str) -> tuple[RiskDecision, ...]:
        """Every answer of the gate to one intent, oldest first."""
        return tuple(decision_of(row) for row in await self._all(_DECISIONS, intent_id=intent_id))

    async def decisions_of_run(self, run_id: str) -> tuple[RiskDecision, ...]:
        """The gate's answers to every intent of a run, oldest first within an intent."""
        query = select(risk_decisions).join(intents).where(intents.c.run_id == run_id)
        rows = await self._all(query.order_by(risk_decisions.c.intent_id, risk_decisions.c.sequence))
        return tuple(decision_of(row) for row in rows)

    async def waiting(self, account_id: str) -> tuple[TradeIntent, ...]:
        """Intents of unfinished runs that the gate let pass, or that an operator may still approve, and that are not sent yet.

        They keep their reservation until they are sent, refused, or their run ends.
        """
        rows = await self._all(_WAITING, account_id=account_id)
        return tuple(TradeIntent(**without(row, "content_hash")) for row in rows)

    async def last_entry(self, account_id: str, symbol: str) -> tuple[TradeIntent, datetime] | None:
        """The newest buy of a symbol that was filled at least in part, and when its order was written: its stop is what protects
        the holding.
        """
        row = await self._one(_LAST_ENTRY, account_id=account_id, symbol=symbol)
        return None if row is None else (TradeIntent(**without(row, "content_hash", "ordered_at")), row["ordered_at"])

    async def count(self, run_id: str, symbol: str, proposer: str) -> int:
        """How many intents of a run one proposer has made for a symbol."""
        asked = {"run_id": run_id, "symbol": symbol, "proposer": proposer}
        return int((await self._connection.execute(_COUNT, asked)).scalar_one())


def decision_of(row: RowMapping) -> RiskDecision:
    """The decision of a row of `risk_decisions`."""
    checks = tuple(Check(**check) for check in row["checks"])
    return RiskDecision(row["intent_id"], row["verdict"], checks, row["decided_at"])

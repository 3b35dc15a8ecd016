"""Why the desk did what it did, from the record: decisions and what they cited, the gate's word, orders and fills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from data_channels.untrusted import Quoted
from tools.context import Facts, number
from trading_core.domain.clock import iso
from trading_core.domain.errors import InvalidInput
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order, Purpose, Side
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.quality import measure
from trading_core.persistence.records import DecisionRecord, EvidenceRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

LOOKED_AT = 20  # intents of a symbol, newest run first, among which the last of each kind is sought
_LEAST_PREFIX = 6
_TOLD = ("market_analysis", "signal", "risk", "rebalancing", "execution")  # in the order they are asked
_CITATION = re.compile(r"\s*\[e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*\]")
_ANSWERED = ("action", "trend", "regime", "confidence", "conviction", "stop_price", "order_type", "limit_price")
_MOST_VALUES = 60  # cited numbers of one decision


def quoted(source: str, text: str) -> str:
    """A text that somebody wrote, as data: on one line, in brackets that it cannot close."""
    return str(Quoted.of(source, text))


class Trails:
    """The record of one account, read to explain it."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database, self._account_id = database, account_id

    async def explained(self, about: str, snapshot: Snapshot) -> Facts:
        """The last decision on a symbol, its last buy, sale and refusal; or the one thing that an id begins.

        Raises:
            InvalidInput: nothing on record is called that.
        """
        async with self._database.reading() as uow:
            if about in snapshot.symbols:
                return await self._of_symbol(uow, about)
            found = await self._by_id(uow, about)
            return {"about": found.intent_id[:16], "found": await self._trail(uow, found)}

    async def _of_symbol(self, uow: UnitOfWork, symbol: str) -> Facts:
        latest = await uow.decisions.recent(self._account_id, "signal", symbol, 1)
        wanted = await uow.intents.lately(self._account_id, symbol, LOOKED_AT)
        told: dict[str, object] = {"about": symbol, "last_buy": None, "last_sale": None, "last_refused": None}
        told["latest_decision"] = await self._decisions(uow, latest[0].run_id, symbol) if latest else []
        last_run = latest[0].run_id if latest else None
        came = [(each, await self._came(uow, each)) for each in wanted if each.purpose is not Purpose.STOP]
        told["latest_outcome"] = [each for intent, each in came if intent.run_id == last_run]
        told["waiting"] = [each for intent, each in came if intent.run_id != last_run and each["approval"] == "pending"]
        for intent in wanted:
            kind = await self._kind(uow, intent)
            if kind and told[kind] is None:
                told[kind] = await self._trail(uow, intent)
            if told["last_buy"] and told["last_sale"] and told["last_refused"]:
                break
        told["last_stop"] = await self._last_stop(uow, symbol)
        return told

    async def _kind(self, uow: UnitOfWork, intent: TradeIntent) -> str:
        """What an intent came to, of what is looked for; empty for anything else."""
        gate = await uow.intents.decisions_of(intent.intent_id)
        if gate and gate[-1].verdict is Verdict.DENIED:
            return "last_refused"
        if intent.purpose is Purpose.STOP or not _traded(await uow.orders.of_intent(intent.intent_id)):
            return ""
        return "last_buy" if intent.side is Side.BUY else "last_sale"

    async def _by_id(self, uow: UnitOfWork, about: str) -> TradeIntent:
        """An order's id is made of its intent's: see `make_client_order_id`."""
        order = await uow.orders.get(about)
        prefix = order.intent_id if order is not None and order.account_id == self._account_id else about.removeprefix("at")
        found: Sequence[TradeIntent] = ()
        if len(prefix) >= _LEAST_PREFIX:
            found = await uow.intents.beginning(self._account_id, prefix, 2)
        if len(found) != 1:
            what = "more than one intent begins with" if found else "no symbol of this desk, order or intent is called"
            raise InvalidInput(
                f"{what} {about[:64]!r}", not_done="Nothing was explained", next_step="Name a symbol, or a longer id"
            )
        return found[0]

    async def _trail(self, uow: UnitOfWork, intent: TradeIntent) -> Facts:
        """One intent, from the decisions behind it to what was filled."""
        gate, approval = await uow.intents.decisions_of(intent.intent_id), await uow.approvals.get(intent.intent_id)
        orders = await uow.orders.of_intent(intent.intent_id)
        return {
            "intent": intent.intent_id[:16],
            "at": iso(intent.created_at),
            "run": intent.run_id,
            "proposer": intent.proposer,
            "purpose": intent.purpose.value,
            "side": intent.side.value,
            "symbol": intent.symbol,
            "quantity": number(intent.quantity),
            "limit_price": number(intent.limit_price),
            "stop_price": number(intent.stop_price),
            "reason": quoted(intent.proposer, _uncited(intent.reason)) if intent.reason else "",
            "decisions": await self._decisions(uow, intent.run_id, intent.symbol),
            "gate": _gate(gate[-1]) if gate else None,
            "approval": None if approval is None else {"state": approval.state.value, "by": approval.decided_by},
            "orders": [await self._order(uow, order) for order in orders],
        }

    async def _came(self, uow: UnitOfWork, intent: TradeIntent) -> Facts:
        """What became of one intent."""
        gate, approval = await uow.intents.decisions_of(intent.intent_id), await uow.approvals.get(intent.intent_id)
        orders = await uow.orders.of_intent(intent.intent_id)
        return {
            "at": iso(intent.created_at),
            "side": intent.side.value,
            "quantity": number(intent.quantity),
            "gate": _gate(gate[-1]) if gate else None,
            "approval": None if approval is None else approval.state.value,
            "orders": [order.state.value for order in orders if order.purpose is not Purpose.STOP],
        }

    async def _decisions(self, uow: UnitOfWork, run_id: str, symbol: str) -> list[Facts]:
        """What the agents of a run said about a symbol, with the numbers that they cited."""
        made = [each for each in await uow.decisions.of_run(run_id) if each.subject in (symbol, "")]
        made = sorted((each for each in made if each.agent in _TOLD), key=lambda each: _TOLD.index(each.agent))
        if not made:
            return []
        evidence = {item.id: item for item in await uow.evidence.of_run(run_id)}
        return [_decision(each, symbol, evidence) for each in made]

    async def _order(self, uow: UnitOfWork, order: Order) -> Facts:
        found = measure(order, await uow.fills.of_order(order.client_order_id))
        return {
            "id": order.client_order_id,
            "at": iso(order.created_at),
            "purpose": order.purpose.value,
            "side": order.side.value,
            "state": order.state.value,
            "filled": number(order.filled),
            "average_price": number(found.average_price),
            "fees": {asset: number(paid) for asset, paid in found.fees.items()},
            "refused_because": quoted("the venue", order.reason) if order.reason else "",
        }

    async def _last_stop(self, uow: UnitOfWork, symbol: str) -> Facts | None:
        """The newest protective stop that has traded: the core's own sale, which nobody decided on."""
        for order in await uow.orders.newest(self._account_id, LOOKED_AT, symbol):
            if order.purpose is Purpose.STOP and order.filled > 0:
                return await self._order(uow, order)
        return None


def _traded(orders: Iterable[Order]) -> bool:
    return any(order.filled > 0 and order.purpose is not Purpose.STOP for order in orders)


def _gate(decision: RiskDecision) -> Facts:
    failed = [
        {"code": check.code, "found": check.found, "limit": check.limit, "detail": check.detail} for check in decision.failed
    ]
    return {"verdict": decision.verdict.value, "at": iso(decision.decided_at), "checks": len(decision.checks), "failed": failed}


def _decision(record: DecisionRecord, symbol: str, evidence: Mapping[str, EvidenceRecord]) -> Facts:
    answer = record.answer or {}
    own = answer
    rows = answer.get("verdicts") or answer.get("orders") or answer.get("targets") or ()
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("symbol") == symbol:
            own = row
    keys = (*_ANSWERED, "verdict", "risk_fraction", "style", "weight")
    cited: dict[str, object] = {}
    for id_ in record.evidence:
        item = evidence.get(id_)
        if item is not None and isinstance(item.result, Mapping):
            values = {key: value for key, value in item.result.items() if isinstance(value, int | float) and value is not True}
            cited[item.tool] = dict(list(values.items())[:_MOST_VALUES])
    reason = str(own.get("reason") or answer.get("reason") or record.reason)
    return {
        "agent": record.agent,
        "at": iso(record.created_at),
        "outcome": record.outcome.value,
        "grounded": record.grounded,
        **{key: own[key] for key in keys if own.get(key) is not None},
        "reason": quoted(f"the {record.agent} agent", _uncited(reason)),
        "cited": cited,
    }


def _uncited(text: str) -> str:
    """Without the citations: their ids mean nothing outside their own run."""
    return _CITATION.sub("", text)

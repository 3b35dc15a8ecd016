"""What the gate says to a recorded run's wishes: the core's own functions, over what was known then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.answers import RebalancePlan, RiskVerdict, Signal
from evals.recorded import Recorded
from graph.proposals import IntentMaker
from graph.wanted import wanted
from trading_core.auth.agents import agent
from trading_core.auth.permissions import Principal
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Side
from trading_core.execution.forms import reserve
from trading_core.risk.checks import RecentOrder
from trading_core.risk.engine import GateInputs, evaluate
from trading_core.risk.limits import Limits
from trading_core.risk.sizing import affordable
from trading_core.risk.state import AccountRisk


@dataclass(frozen=True, slots=True)
class Judged:
    """An intent as it was put to the gate, cut down to what the limits let pass where it is a buy, and what the gate said."""

    intent: TradeIntent
    decision: RiskDecision

    @property
    def may_be_sent(self) -> bool:
        return self.decision.verdict is Verdict.APPROVED


def judge_all(
    recorded: Recorded,
    limits: Limits,
    signals: Mapping[str, Signal],
    sizes: Mapping[str, RiskVerdict],
    plan: RebalancePlan | None,
    strategy: str,
    *,
    barred: Collection[str] = (),
) -> list[Judged]:
    """Every intent that follows from the agents' answers, in the order the desk asks, each reserving what it would take.

    Args:
        barred: symbols of which nothing is bought.
    """
    risk = recorded.risk.observe(recorded.snapshot.portfolio.equity(recorded.snapshot.prices), recorded.now, limits)
    found: list[Judged] = []
    run, snapshot = recorded.trail.run, recorded.snapshot
    asked = wanted(
        IntentMaker(run.id, run.account_id, snapshot, strategy),
        snapshot,
        limits,
        signals=signals,
        sizes=sizes,
        plan=plan,
        risk=agent("risk", run.account_id),
        rebalancing=agent("rebalancing", run.account_id),
    )
    for intent, principal in asked:
        if intent.side is Side.BUY and intent.symbol in barred:
            continue
        passed = [one.intent for one in found if one.decision.verdict is not Verdict.DENIED]
        inputs = _inputs(recorded, risk, principal, passed)
        if intent.side is Side.BUY:
            fitting = affordable(intent, inputs, limits)
            intent = replace(intent, quantity=fitting) if fitting > 0 else intent
        found.append(Judged(intent, evaluate(intent, inputs, limits)))
    return found


def _inputs(recorded: Recorded, risk: AccountRisk, principal: Principal, waiting: Sequence[TradeIntent]) -> GateInputs:
    snapshot, now = recorded.snapshot, recorded.now
    asked = (RecentOrder(i.created_at, i.proposer, i.symbol, i.side, i.quantity, i.intent_id) for i in waiting)
    return GateInputs(
        now=now,
        actor=principal,
        portfolio=snapshot.portfolio,
        account_known_at=now,
        open_orders=(*snapshot.open_orders, *(reserve(intent) for intent in waiting)),
        instruments=snapshot.instruments,
        tickers=snapshot.tickers,
        risk=risk,
        correlations=recorded.correlations,
        recent_orders=(*recorded.recent, *asked),
        venue_healthy=True,  # else the run would have failed before it had a snapshot
        has_approval=False,
    )

"""What the gate says to a recorded run's wishes: the core's own functions, over what was known then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.answers import RebalancePlan, RiskVerdict, Signal
from evals.recorded import Recorded
from graph.proposals import IntentMaker
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
) -> list[Judged]:
    """Every intent that follows from the agents' answers, in the order the desk asks, each reserving what it would take."""
    risk = recorded.risk.observe(recorded.snapshot.portfolio.equity(recorded.snapshot.prices), recorded.now, limits)
    found: list[Judged] = []
    for intent, principal in _wanted(recorded, limits, signals, sizes, plan, strategy):
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


def _wanted(
    recorded: Recorded,
    limits: Limits,
    signals: Mapping[str, Signal],
    sizes: Mapping[str, RiskVerdict],
    plan: RebalancePlan | None,
    strategy: str,
) -> Iterator[tuple[TradeIntent, Principal]]:
    """As `graph.nodes.gate`: exits first, then entries by conviction, then rebalancing of symbols that have neither."""
    snapshot, run = recorded.snapshot, recorded.trail.run
    maker = IntentMaker(run.id, run.account_id, snapshot, strategy)
    risk, rebalancing = agent("risk", run.account_id), agent("rebalancing", run.account_id)
    for symbol, signal in sorted(signals.items(), key=lambda item: (item[1].action != "exit", -item[1].conviction, item[0])):
        verdict = sizes.get(symbol)
        taken = verdict is not None and verdict.verdict == "take"
        intent = None
        if signal.action == "exit" and (verdict is None or taken):
            intent = maker.exit(symbol, signal, risk.name)
        elif signal.action == "enter" and verdict is not None and taken and not _held(recorded, symbol):
            intent = maker.entry(symbol, signal, verdict, limits.risk_per_trade, risk.name)
        if intent is not None:
            yield intent, risk
    acting = {symbol for symbol, signal in signals.items() if signal.action in ("enter", "exit")}
    for target in plan.targets if plan else []:
        verdict = sizes.get(target.symbol)
        if target.symbol in snapshot.tickers and target.symbol not in acting and verdict and verdict.verdict == "take":
            intent = maker.rebalance(target.symbol, target.weight, rebalancing.name, plan.reason if plan else "")
            if intent is not None:
                yield intent, rebalancing


def _held(recorded: Recorded, symbol: str) -> bool:
    snapshot = recorded.snapshot
    quantity = snapshot.portfolio.position(symbol).quantity
    return not snapshot.instruments[symbol].is_dust(quantity, snapshot.tickers[symbol].last)

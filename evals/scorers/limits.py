"""Whether the agents kept to the limits they were shown, before the gate had to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from agents.answers import RebalancePlan, RiskPlan
from evals.scorers.base import Score, judged
from evals.scorers.reading import answer_of
from evals.trajectory import Trajectory
from trading_core.domain.intents import Check, RiskDecision, Verdict
from trading_core.domain.money import plain
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import IntentTrail, RunTrail
from trading_core.risk.checks import ReasonCode
from trading_core.risk.sizing import QUANTITY_DEPENDENT

SHOWN = frozenset(
    {
        ReasonCode.TRADING_STATE,
        ReasonCode.PURPOSE_SIDE,
        ReasonCode.PRICE_COLLAR,
        ReasonCode.WORST_PRICE,
        ReasonCode.STOP_MISSING,
        ReasonCode.STOP_SIDE,
        ReasonCode.OVERSELL,
        ReasonCode.INSUFFICIENT_CASH,
        ReasonCode.RISK_PER_TRADE,
        ReasonCode.POSITION_EXPOSURE,
        ReasonCode.TOTAL_EXPOSURE,
        ReasonCode.CORRELATED_EXPOSURE,
        ReasonCode.CONCURRENT_POSITIONS,
        ReasonCode.DRAWDOWN,
    }
)
"""Checks whose limit and whose number the agents read (`get_limits`, `get_portfolio`, `get_position`, `get_ticker`) or ought to
know of any order. A denial for anything else (a stale price, a venue that is down, the tempo, a cool-down) is news to them, and
so is what follows from it (`NO_FACTS`)."""

NO_FACTS = frozenset(
    {
        ReasonCode.INSTRUMENT_UNKNOWN,
        ReasonCode.PRICE_MISSING,
        ReasonCode.PRICE_INVALID,
        ReasonCode.BOOK_CROSSED,
        ReasonCode.PRICE_STALE,
        ReasonCode.PRICE_IN_FUTURE,
        ReasonCode.EQUITY_UNKNOWN,
    }
)
"""Checks without which others cannot be made: their numbers are then unknown. Nor can the desk cut an order to what its limits
allow, as it does before it asks the gate, so that an order of any size fails there too."""

_NOT_MADE = "unknown"  # how the gate shows a number that it does not have


def limits(trajectory: Trajectory) -> Score:
    """The share of proposals that kept to the limits: intents, sizes of the risk agent and weights of the rebalancing agent.

    An intent is wrong when the gate denied it at first sight for a limit in `SHOWN`. An exit during a halt is none: agents never
    veto an exit, by their prompts, and whether it may pass is the gate's to say. A size or weight above the limit that the
    run was shown is wrong even though the desk cuts it to size without a word.
    """
    return judged(
        "limits",
        [
            *(_denied(intent) for trail in trajectory.runs for intent in trail.intents),
            *(finding for trail in trajectory.runs for finding in _too_large(trajectory, trail)),
        ],
    )


def _denied(trail: IntentTrail) -> str:
    first = next(iter(trail.decisions), None)
    if first is None or first.verdict is not Verdict.DENIED:
        return ""
    failed = [check for check in first.failed if _is_theirs(check, first, trail.intent.purpose)]
    told = "; ".join(f"{check.code} is {check.found}, limit {check.limit}" for check in failed)
    intent = trail.intent
    return f"{intent.proposer} wanted {intent.side.value} {intent.symbol} ({intent.intent_id[:8]}): {told}" if failed else ""


def _is_theirs(check: Check, first: RiskDecision, purpose: Purpose) -> bool:
    """Whether the agents could have known of a failed check, and ought to have kept to it."""
    if check.code not in SHOWN or (check.code == ReasonCode.TRADING_STATE and purpose is Purpose.EXIT):
        return False
    if not NO_FACTS.isdisjoint(other.code for other in first.failed):
        return check.code not in QUANTITY_DEPENDENT and _NOT_MADE not in (check.found, check.limit)
    return True


def _too_large(trajectory: Trajectory, trail: RunTrail) -> Iterator[str]:
    shown = _limits_of(trail)
    for one in trajectory.asked:
        answer = answer_of(one) if one.run_id == trail.run.id else None
        if isinstance(answer, RiskPlan):
            for verdict in answer.verdicts:
                if verdict.verdict == "take":
                    yield _over(f"risk of {verdict.symbol}", verdict.risk_fraction, shown.get("risk_per_trade"))
        elif isinstance(answer, RebalancePlan):
            for target in answer.targets:
                yield _over(f"weight of {target.symbol}", target.weight, shown.get("max_position"))


def _over(what: str, wanted: float, limit: Decimal | None) -> str:
    return "" if limit is None or Decimal(str(wanted)) <= limit else f"{what}: {wanted:g} wanted, {plain(limit)} allowed"


def _limits_of(trail: RunTrail) -> dict[str, Decimal]:
    for record in trail.evidence:
        shown = record.result.get("limits") if record.tool == "get_limits" and isinstance(record.result, Mapping) else None
        if isinstance(shown, Mapping):
            return {name: value for name, raw in shown.items() if (value := _number(raw)) is not None}
    return {}


def _number(raw: object) -> Decimal | None:
    try:
        return Decimal(str(raw))
    except InvalidOperation:
        return None

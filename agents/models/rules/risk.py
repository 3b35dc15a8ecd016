"""One per cent at risk as the ordinary size, less when conviction or the account is weak, correlated entries as one bet."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from agents.answers import RiskPlan, RiskVerdict
from agents.models.rules.facts import Fact, Facts, finite

ORDINARY_RISK = 0.01  # of equity; the Turtles' unit, half of Elder's 2 % rule
WEAK_CONVICTION = 0.5
ONE_BET = 0.8  # correlation


def decide(facts: Facts) -> RiskPlan:
    proposals, portfolio, limits = (facts.get(name) for name in ("get_proposals", "get_portfolio", "get_limits"))
    if not (proposals.available and portfolio.available and limits.available):
        return RiskPlan(abstain=True, verdicts=[], reason="The proposals, the portfolio or the limits cannot be read.")
    drawdown = portfolio.number("drawdown")
    if drawdown is None or portfolio.number("equity") is None:
        return RiskPlan(abstain=True, verdicts=[], reason="Equity or drawdown is unknown.")
    most = min(ORDINARY_RISK, _limit(limits, "risk_per_trade", ORDINARY_RISK))
    worst = _limit(limits, "drawdown", 0.1)
    state = portfolio.values.get("trading_state")
    holdings = {row["symbol"] for row in portfolio.values.get("holdings", [])}
    verdicts: list[RiskVerdict] = []
    taken: dict[str, float] = {}
    signals = proposals.values.get("signals", [])
    for row in sorted(signals, key=lambda row: (row["action"] != "exit", -_conviction(row), row["symbol"])):
        symbol = row["symbol"]
        if row["action"] == "exit":
            verdicts.append(_verdict(symbol, "take", 0.0, "An exit takes risk off."))
        elif state != "active":
            verdicts.append(_verdict(symbol, "veto", 0.0, f"No entries while the trading state is {state}."))
        elif full := _full(portfolio, limits, len(holdings | taken.keys())):
            verdicts.append(_verdict(symbol, "veto", 0.0, full))
        elif _is_eaten_by_fees(row):
            verdicts.append(_verdict(symbol, "veto", 0.0, "The fees of both ways are more than what its stop risks."))
        else:
            size, why = _ordinary(_conviction(row), drawdown, worst, most)
            bet = sum(
                share
                for other, share in {**dict.fromkeys(holdings, most / 2), **taken}.items()
                if _correlation(facts.get("get_correlations"), symbol, other) > ONE_BET
            )
            if max(most - bet, 0.0) < size:
                size, why = max(most - bet, 0.0), "what the bets it moves with leave"
            if size < most / 8:
                verdicts.append(_verdict(symbol, "veto", 0.0, "It moves with what is already held or taken: one bet is enough."))
                continue
            taken[symbol] = size
            verdicts.append(_verdict(symbol, "take", size, f"Taken at {why}."))
    leaving = {row["symbol"] for row in signals if row["action"] == "exit"}
    for row in proposals.values.get("rebalancing", []):
        if row["symbol"] in leaving or row["symbol"] in taken:
            continue
        if state == "halted" or (state != "active" and not _reduces(row)):
            verdicts.append(_verdict(row["symbol"], "veto", 0.0, f"It may not be traded while the trading state is {state}."))
            continue
        verdicts.append(_verdict(row["symbol"], "take", 0.0, "Brings the holdings back to equal risk."))
    return RiskPlan(
        abstain=False, verdicts=verdicts, reason=f"{portfolio.say('Equity', 'equity')}, {portfolio.say('drawdown', 'drawdown')}."
    )


def _full(portfolio: Fact, limits: Fact, positions: int) -> str:
    """Why there is no room for another position; empty when there is, or when it is not known: the gate knows better."""
    if positions >= _limit(limits, "max_positions", inf):
        return "As many positions as are allowed are held or taken."
    cash = portfolio.number("cash_weight")
    if cash is not None and cash <= _limit(limits, "cash_reserve", -inf):
        return "Cash is down to its reserve."
    invested = sum(finite(row.get("weight")) or 0.0 for row in portfolio.values.get("holdings", []))
    if invested >= _limit(limits, "max_exposure", inf):
        return "All that may be invested is invested."
    return ""


def _is_eaten_by_fees(row: Mapping[str, Any]) -> bool:
    fees, distance = finite(row.get("round_trip_fees_percent")), finite(row.get("stop_distance_percent"))
    return fees is not None and distance is not None and fees > distance


def _reduces(row: Mapping[str, Any]) -> bool:
    before, after = finite(row.get("from_weight")), finite(row.get("to_weight"))
    return before is not None and after is not None and after < before


def _ordinary(conviction: float, drawdown: float, worst: float, most: float) -> tuple[float, str]:
    """The size before correlation. A drawdown makes it small but not zero: from nothing no account recovers, and at the limit
    itself the core stops entries."""
    if drawdown > worst * 2 / 3:
        return most / 4, "a quarter of the ordinary size, deep in a drawdown"
    if drawdown > worst / 3:
        return most / 2, "half the ordinary size, in a drawdown"
    if conviction < WEAK_CONVICTION:
        return most / 2, "half the ordinary size, for weak conviction"
    return most, "the ordinary size"


def _verdict(symbol: str, verdict: str, risk_fraction: float, reason: str) -> RiskVerdict:
    return RiskVerdict.model_validate(
        {"symbol": symbol, "verdict": verdict, "risk_fraction": round(risk_fraction, 6), "reason": reason}
    )


def _conviction(row: Mapping[str, Any]) -> float:
    """An unknown conviction is a weak one."""
    return finite(row.get("conviction")) or 0.0


def _limit(limits: Fact, name: str, default: float) -> float:
    value: Any = limits.values.get("limits", {}).get(name)
    return float(value) if value is not None else default


def _correlation(correlations: Fact, one: str, other: str) -> float:
    """An unknown correlation counts as one bet: unknown is not zero."""
    if one == other:
        return 1.0
    value = correlations.values.get("pairs", {}).get("~".join(sorted((one, other))))
    return 1.0 if value is None else float(value)

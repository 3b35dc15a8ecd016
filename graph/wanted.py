"""What the desk wants to trade, from what its agents answered: exact intents, in the order in which the gate is asked.

Used by the cycle, and by whoever decides a recorded run again: both must want the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.answers import RebalancePlan, RiskVerdict, Signal
from graph.caution import share_of_risk
from graph.proposals import IntentMaker
from trading_core.auth.permissions import Principal
from trading_core.domain.intents import TradeIntent
from trading_core.domain.snapshot import Snapshot
from trading_core.risk.limits import Limits


def wanted(
    maker: IntentMaker,
    snapshot: Snapshot,
    limits: Limits,
    *,
    signals: Mapping[str, Signal],
    sizes: Mapping[str, RiskVerdict],
    plan: RebalancePlan | None,
    risk: Principal,
    rebalancing: Principal,
) -> list[tuple[TradeIntent, Principal]]:
    """Exits first, then entries by conviction, then rebalancing of symbols that have neither.

    Args:
        maker: of the run's intents, over the same snapshot.
        sizes: the risk agent's word, by symbol.
        risk, rebalancing: who proposes.
    """
    found: list[tuple[TradeIntent | None, Principal]] = []
    ranked = sorted(signals.items(), key=lambda item: (item[1].action != "exit", -item[1].conviction, item[0]))
    for symbol, signal in ranked:
        verdict = sizes.get(symbol)
        # Without the risk agent's word an exit goes on and an entry does not.
        if signal.action == "exit" and (verdict is None or verdict.verdict == "take"):
            found.append((maker.exit(symbol, signal, risk.name), risk))
        elif signal.action == "enter" and verdict is not None and verdict.verdict == "take" and _enterable(snapshot, symbol):
            share = share_of_risk(snapshot, symbol)
            found.append((maker.entry(symbol, signal, verdict, limits.risk_per_trade, risk.name, share), risk))
    acting = {symbol for symbol, signal in signals.items() if signal.action in ("enter", "exit")}
    for target in plan.targets if plan else []:
        verdict = sizes.get(target.symbol)
        known = target.symbol in snapshot.tickers and target.symbol not in snapshot.doubts
        if known and target.symbol not in acting and verdict and verdict.verdict == "take":
            reason = plan.reason if plan else ""
            found.append((maker.rebalance(target.symbol, target.weight, rebalancing.name, reason), rebalancing))
    return [(intent, principal) for intent, principal in found if intent is not None]


def _enterable(snapshot: Snapshot, symbol: str) -> bool:
    return symbol not in snapshot.doubts and not _held(snapshot, symbol)


def _held(snapshot: Snapshot, symbol: str) -> bool:
    """One position per symbol: an entry on top of a holding would change what its stop was made for."""
    position = snapshot.portfolio.position(symbol)
    return not snapshot.instruments[symbol].is_dust(position.quantity, snapshot.tickers[symbol].last)

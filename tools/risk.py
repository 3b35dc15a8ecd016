"""The limits that bind, and how the holdings move together."""

from __future__ import annotations

from tools.base import NoArguments, Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action


async def _limits(context: ToolContext, _: NoArguments) -> Facts:
    return {"trading_state": context.snapshot.state, "limits": dict(context.snapshot.limits)}


async def _correlations(context: ToolContext, _: NoArguments) -> Facts:
    pairs = {"~".join(sorted(pair)): round(value, 2) for pair, value in context.computed.correlations.items()}
    return {"of": "returns over the run's bars", "pairs": dict(sorted(pairs.items()))}


async def _volatilities(context: ToolContext, _: NoArguments) -> Facts:
    snapshot = context.snapshot
    held = snapshot.portfolio.held()
    rows = []
    for symbol in snapshot.symbols:
        summary = context.computed.indicators(symbol)
        if symbol in held and summary is not None:
            instrument = snapshot.instruments.get(symbol)
            rows.append(
                {
                    "symbol": symbol,
                    "weight": number(snapshot.weight(symbol)),
                    "volatility": summary.realised_volatility_20,
                    "taker_fee": number(instrument.taker_fee if instrument is not None else None),
                }
            )
    return {"unit": "annualised %", "held": rows}


async def _risk_state(context: ToolContext, _: NoArguments) -> Facts:
    return await context.desk.risk_state()


GET_VOLATILITIES = Tool(
    "get_volatilities",
    "For each holding: weight, 20-bar volatility (annualised %) and the taker fee a change of weight costs (fraction).",
    NoArguments,
    Action.READ_RISK,
    _volatilities,
)
GET_LIMITS = Tool("get_limits", "The limits the core enforces; nothing can pass them.", NoArguments, Action.READ_RISK, _limits)
GET_CORRELATIONS = Tool(
    "get_correlations", "Correlation of returns between the symbols of this run.", NoArguments, Action.READ_RISK, _correlations
)
GET_RISK_STATE = Tool(
    "get_risk_state",
    "Whether the account may trade, since when, by whose decision and why; loss today and from the peak, losing streak, "
    "exposure, and how much of each limit is used (fractions of equity).",
    NoArguments,
    Action.READ_RISK,
    _risk_state,
)

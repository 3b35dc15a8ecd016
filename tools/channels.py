"""Sentiment and on-chain readings: numbers with their source and time, never prose, never invented."""

from __future__ import annotations

from tools.base import SymbolArguments, Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action
from trading_core.domain.clock import iso


def _report(context: ToolContext, kind: str, symbol: str) -> Facts:
    report = context.snapshot.channels.get(f"{kind}:{context.snapshot.known(symbol)}")
    if report is None:
        return {"symbol": symbol, "available": False, "why": f"the run took no {kind} reading"}
    readings = [
        {
            "source": reading.source,
            "name": reading.name,
            "value": number(reading.value),
            "unit": reading.unit,
            "count": reading.count,
            "spread": number(reading.spread) if reading.spread is not None else None,
            "quality": number(reading.quality),
            "published_at": iso(reading.published_at),
        }
        for reading in report.readings
    ]
    if not readings:
        return {"symbol": symbol, "available": False, "why": report.reason}
    return {"symbol": symbol, "available": True, "state": report.state.value, "readings": readings}


async def _sentiment(context: ToolContext, arguments: SymbolArguments) -> Facts:
    return _report(context, "sentiment", arguments.symbol)


async def _onchain(context: ToolContext, arguments: SymbolArguments) -> Facts:
    return _report(context, "onchain", arguments.symbol)


GET_SENTIMENT = Tool(
    "get_sentiment",
    "Sentiment readings for a symbol as numbers with counts, or why there are none.",
    SymbolArguments,
    Action.READ_CHANNELS,
    _sentiment,
)
GET_ONCHAIN = Tool(
    "get_onchain", "On-chain readings for a symbol, or why there are none.", SymbolArguments, Action.READ_CHANNELS, _onchain
)

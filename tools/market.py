"""Prices, bars and indicators, all as of the run's instant."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel, Field

from tools.base import SymbolArguments, Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action
from trading_core.domain.clock import iso
from trading_core.domain.market import Timeframe


async def _ticker(context: ToolContext, arguments: SymbolArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol)
    ticker = context.snapshot.tickers.get(symbol)
    if ticker is None:
        return {"symbol": symbol, "available": False, "why": "no price was known yet"}
    return {
        "symbol": symbol,
        "available": True,
        "bid": number(ticker.bid),
        "ask": number(ticker.ask),
        "last": number(ticker.last),
        "at": iso(ticker.at),
    }


async def _indicators(context: ToolContext, arguments: SymbolArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol)
    summary = context.computed.indicators(symbol)
    bars = context.snapshot.bars.get(symbol, ())
    head = {"symbol": symbol, "timeframe": str(context.snapshot.timeframe)}
    if summary is None or not bars:
        return {**head, "available": False, "why": f"only {len(bars)} closed bars are known"}
    return {**head, "available": True, "last_bar_opened_at": iso(bars[-1].opened_at), **asdict(summary)}


class BarsArguments(BaseModel):
    symbol: str = Field(max_length=30)
    timeframe: str = Field(default="", max_length=4, description="1h, 4h, 1d …; empty for the run's own")
    limit: int = Field(default=20, ge=1, le=60, description="how many newest closed bars")


async def _bars(context: ToolContext, arguments: BarsArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol)
    timeframe = Timeframe(arguments.timeframe) if arguments.timeframe else context.snapshot.timeframe
    if timeframe == context.snapshot.timeframe:
        bars = context.snapshot.bars.get(symbol, ())[-arguments.limit :]
    else:
        bars = tuple(await context.feed.bars(symbol, timeframe, as_of=context.snapshot.as_of, limit=arguments.limit))
    rows = [
        [iso(bar.opened_at), *(number(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume))] for bar in bars
    ]
    return {"symbol": symbol, "timeframe": str(timeframe), "columns": "opened_at,open,high,low,close,volume", "rows": rows}


GET_TICKER = Tool(
    "get_ticker",
    "Last known bid, ask and trade price of a symbol, and when they were true.",
    SymbolArguments,
    Action.READ_MARKET,
    _ticker,
)
GET_INDICATORS = Tool(
    "get_indicators",
    "Standard indicators on closed bars: EMA 20/50/200, RSI 14, ATR 14 (price and % of it), ADX 14 with +DI/-DI, MACD 12/26/9, "
    "Bollinger 20, Donchian 20/10 of prior bars, 20-bar volatility (annualised %) and its percentile, volume z-score, "
    "change over 1/5/20 bars in %, drawdown from the window high in %. null means not enough bars.",
    SymbolArguments,
    Action.READ_MARKET,
    _indicators,
)
GET_BARS = Tool(
    "get_bars",
    "Newest closed bars, oldest first. Only when the indicators leave a question open.",
    BarsArguments,
    Action.READ_MARKET,
    _bars,
)

"""Prices of an account's market, as its desk hears them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import OnAccount, State, on_account
from api.http.pages import Page, PageQuery
from api.http.shared_route import SharedRoute
from api.schemas.common import Instant
from api.schemas.market import BarOut, BarsOut, IndicatorsOut, InstrumentOut, TickerOut
from api.services.desks import desk_here
from api.state import ApiState
from graph.snapshot import WINDOW
from graph.system import TradingSystem
from trading_core.auth.permissions import Action
from trading_core.domain.errors import MarketDataUnavailable, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Timeframe
from trading_core.indicators.summary import summarise

router = APIRouter(prefix="/accounts/{account}/market", tags=["market"], route_class=SharedRoute)

MOST_BARS, USUAL_BARS = 1_000, 200
_NO_MARKET_YET = datetime(1970, 1, 1, tzinfo=UTC)

Reader = Annotated[OnAccount, on_account(Action.READ_MARKET)]
Symbol = Annotated[str, Query(min_length=3, max_length=41, description="Of the account's market.", examples=["BTC/USDT"])]
Length = Annotated[
    str | None, Query(max_length=5, description="Length of a bar: 1m, 15m, 1h, 1d, 1w. The session's own when absent.")
]
AsOf = Annotated[Instant | None, Query(description="Only what was known at this instant; now when absent, and never later.")]


@router.get("/ticker", summary="Read the last prices of a symbol")
async def get_ticker(state: State, on: Reader, symbol: Symbol) -> TickerOut:
    """Bid, ask and last trade as the desk hears them, and when they were true."""
    system = _traded(state, on, symbol)
    ticker = await system.feed.ticker(symbol, as_of=system.clock.now())
    if ticker is None:
        raise MarketDataUnavailable(f"{symbol} has no price yet", not_done="Nothing was read", next_step="Ask again later")
    return TickerOut(
        symbol=ticker.symbol,
        bid=ticker.bid,
        ask=ticker.ask,
        last=ticker.last,
        mid=ticker.mid,
        at=ticker.at,
        generated=system.feed.generated,
    )


@router.get("/bars", summary="Read closed bars of a symbol")
async def get_bars(
    state: State,
    on: Reader,
    symbol: Symbol,
    timeframe: Length = None,
    limit: Annotated[int, Query(ge=1, le=MOST_BARS, description="How many of the newest.")] = USUAL_BARS,
    as_of: AsOf = None,
) -> BarsOut:
    """The newest closed bars that were known at `as_of`, oldest first."""
    system = _traded(state, on, symbol)
    length, known_at = _length(system, timeframe), _known_at(system, as_of)
    bars = await system.feed.bars(symbol, length, as_of=known_at, limit=limit)
    return BarsOut(
        symbol=symbol,
        timeframe=str(length),
        as_of=known_at,
        generated=system.feed.generated,
        bars=[BarOut.model_validate(bar) for bar in bars],
    )


@router.get("/indicators", summary="Read the indicators of a symbol")
async def get_indicators(state: State, on: Reader, symbol: Symbol, timeframe: Length = None, as_of: AsOf = None) -> IndicatorsOut:
    """The numbers that the agents read, at the last bar closed at `as_of`: averages, RSI, ATR, ADX, MACD, bands, channels,
    volatility, volume and change."""
    system = _traded(state, on, symbol)
    length, known_at = _length(system, timeframe), _known_at(system, as_of)
    bars = await system.feed.bars(symbol, length, as_of=known_at, limit=WINDOW)
    found = summarise(bars, length.per_year)
    values = {} if found is None else {name: value for name, value in asdict(found).items() if name != "bars"}
    return IndicatorsOut(
        symbol=symbol,
        timeframe=str(length),
        as_of=known_at,
        last_bar_opened_at=bars[-1].opened_at if bars else None,
        generated=system.feed.generated,
        bars=len(bars),
        values=values,
    )


@router.get("/instruments", summary="List the instruments of an account's market")
async def list_instruments(
    state: State,
    on: Reader,
    page: PageQuery,
    symbol: Annotated[str | None, Query(max_length=41, description="Only this one.", examples=["BTC/USDT"])] = None,
    traded: Annotated[bool, Query(description="Only those that the account's session looks at.")] = False,
) -> Page[InstrumentOut]:
    """By symbol, each with the filters that its venue puts on orders and what it takes for them."""
    system = desk_here(state, on.account_id, "its market's filters")
    listed, looked_at, after = system.desk.instruments, set(system.config.symbols), page.after_text() or ""
    names = sorted(name for name in listed if name > after and symbol in (None, name) and (not traded or name in looked_at))
    shown = [listed[name] for name in names[: page.wanted]]
    return page.page(shown, lambda one: (one.symbol,), lambda one: _instrument(one, one.symbol in looked_at))


def _traded(state: ApiState, on: OnAccount, symbol: str) -> TradingSystem:
    """The desk, whose market lists the symbol."""
    system = desk_here(state, on.account_id, "its market")
    if symbol not in system.desk.instruments:
        raise UnknownSymbol(
            f"the account's market lists no {symbol!r}",
            not_done="Nothing was read",
            next_step=f"It looks at {', '.join(system.config.symbols)}",
        )
    return system


def _length(system: TradingSystem, code: str | None) -> Timeframe:
    return system.config.bars if code is None else Timeframe(code)


def _known_at(system: TradingSystem, as_of: datetime | None) -> datetime:
    now = system.clock.now()
    return now if as_of is None else min(max(as_of, _NO_MARKET_YET), now)


def _instrument(one: Instrument, traded: bool) -> InstrumentOut:
    return InstrumentOut(
        symbol=one.symbol,
        base=one.base,
        quote=one.quote,
        tick_size=one.tick_size,
        lot_size=one.lot_size,
        min_quantity=one.min_quantity,
        min_notional=one.min_notional,
        max_quantity=one.max_quantity,
        max_notional=one.max_notional,
        maker_fee=one.maker_fee,
        taker_fee=one.taker_fee,
        fee_currency=one.fee_currency,
        traded=traded,
    )

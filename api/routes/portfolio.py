"""What an account holds, its worth over time, and how it has done."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import OnAccount, State, on_account
from api.http.shared_route import SharedRoute
from api.schemas.common import Instant
from api.schemas.portfolio import (
    EquityOut,
    EquityPoint,
    PerformanceOut,
    PortfolioOut,
    PositionOut,
    PositionsOut,
    TradesOut,
)
from api.services.curve import curve_of
from api.services.holding import held_instead
from api.services.marks import Marks, marks_of
from api.services.trades import Trades, trades_of
from api.state import ApiState
from graph.system import TradingSystem
from trading_core.auth.permissions import Action
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position

router = APIRouter(prefix="/accounts/{account}", tags=["portfolio"], route_class=SharedRoute)

MOST_POINTS, USUAL_POINTS = 2_000, 500

Reader = Annotated[OnAccount, on_account(Action.READ_PORTFOLIO)]


@router.get("/portfolio", summary="Read what an account holds and what it is worth")
async def get_portfolio(state: State, on: Reader) -> PortfolioOut:
    """Balances, positions, profit, fees and equity, valued at the desk's prices or, where this process has no desk for the
    account, at those of its last run. `priced_at` and `priced_by` say which."""
    portfolio, marks = await _valued(state, on.account_id)
    equity, invested = marks.equity(portfolio), marks.invested(portfolio)
    return PortfolioOut(
        account=on.account_id,
        currency=portfolio.currency,
        equity=equity,
        cash=portfolio.cash,
        exposure=_share(invested, equity),
        paid_in=portfolio.paid_in,
        profit=None if equity is None else equity - portfolio.paid_in,
        realised=portfolio.realised,
        unrealised=_unrealised(portfolio, marks),
        balances=_by_name(portfolio.balances),
        fees=_by_name(portfolio.fees),
        positions=_positions(state.desks.get(on.account_id), portfolio, marks, closed=False),
        priced_at=marks.at,
        priced_by=marks.by,
    )


@router.get("/positions", summary="List an account's positions")
async def list_positions(
    state: State,
    on: Reader,
    closed: Annotated[bool, Query(description="Also symbols of which nothing is held any more, for what they realised.")] = False,
) -> PositionsOut:
    """Every holding with its cost, price, weight and profit. There are at most as many as symbols were ever traded."""
    portfolio, marks = await _valued(state, on.account_id)
    positions = _positions(state.desks.get(on.account_id), portfolio, marks, closed=closed)
    return PositionsOut(positions=positions, priced_at=marks.at, priced_by=marks.by)


@router.get("/equity", summary="Read an account's worth over time")
async def get_equity(
    state: State,
    on: Reader,
    points: Annotated[int, Query(ge=2, le=MOST_POINTS, description="At most so many points.")] = USUAL_POINTS,
    since: Annotated[Instant | None, Query(description="From this instant on.")] = None,
    until: Annotated[Instant | None, Query(description="Up to this instant.")] = None,
) -> EquityOut:
    """The account's worth after its runs, thinned to `points`, with the falls from a peak that lie between them."""
    async with state.database.reading() as uow:
        (account,) = await uow.pages.accounts([on.account_id])
    curve = await curve_of(state.database, on.account_id, points=points, since=since, until=until)
    return EquityOut(
        account=on.account_id,
        currency=account.currency,
        count=curve.count,
        drawdown=curve.drawdown,
        points=[EquityPoint.model_validate(point) for point in curve.points],
    )


@router.get("/performance", summary="Read how an account has done")
async def get_performance(state: State, on: Reader) -> PerformanceOut:
    """Profit, drawdown, closed trades, fees and turnover since the account was opened, and what buying and holding would have
    come to. Trades are folded from every fill on record."""
    account_id, system = on.account_id, state.desks.get(on.account_id)
    portfolio, marks = await _valued(state, account_id)
    async with state.database.reading() as uow:
        (account,) = await uow.pages.accounts([account_id])
    curve = await curve_of(state.database, account_id, points=2)
    trades = await trades_of(state.database, account_id)
    equity, paid_in = marks.equity(portfolio), portfolio.paid_in
    held = None if system is None else await held_instead(system, state.database, paid_in)
    traded = trades.bought + trades.sold
    return PerformanceOut(
        account=account_id,
        currency=portfolio.currency,
        since=account.opened_at,
        paid_in=paid_in,
        equity=equity,
        profit=None if equity is None else equity - paid_in,
        gain=None if equity is None else _share(equity - paid_in, paid_in),
        held_instead=held,
        ahead_of_holding=None if equity is None or held is None else _share(equity - held, paid_in),
        drawdown=curve.drawdown,
        realised=portfolio.realised,
        unrealised=_unrealised(portfolio, marks),
        fees=_by_name(portfolio.fees),
        fills=trades.fills,
        turnover=traded,
        turnover_ratio=_share(traded, paid_in),
        trades=_trades(trades),
        priced_at=marks.at,
        priced_by=marks.by,
    )


async def _valued(state: ApiState, account_id: str) -> tuple[Portfolio, Marks]:
    async with state.database.reading() as uow:
        portfolio = await uow.portfolios.load(account_id)
    return portfolio, await marks_of(state.desks, state.database, account_id, list(portfolio.held()))


def _positions(system: TradingSystem | None, portfolio: Portfolio, marks: Marks, *, closed: bool) -> list[PositionOut]:
    equity = marks.equity(portfolio)
    shown = portfolio.positions if closed else portfolio.held()
    return [_position(system, shown[symbol], marks.price(symbol), equity) for symbol in sorted(shown)]


def _position(system: TradingSystem | None, position: Position, price: Decimal | None, equity: Decimal | None) -> PositionOut:
    instrument = None if system is None else system.desk.instruments.get(position.symbol)
    value = None if price is None else position.value(price)
    held = position.quantity > 0
    return PositionOut(
        symbol=position.symbol,
        quantity=position.quantity,
        average_cost=position.average_cost,
        price=price,
        value=value if held else ZERO,
        weight=_share(value, equity) if held else ZERO,
        unrealised=(None if price is None else position.unrealised(price)) if held else ZERO,
        realised=position.realised,
        is_dust=None if instrument is None or price is None or not held else instrument.is_dust(position.quantity, price),
    )


def _unrealised(portfolio: Portfolio, marks: Marks) -> Decimal | None:
    held = portfolio.held()
    if any(symbol not in marks.prices for symbol in held):
        return None
    return sum((position.unrealised(marks.prices[symbol]) for symbol, position in held.items()), ZERO)


def _trades(found: Trades) -> TradesOut:
    return TradesOut(
        closed=found.closed,
        won=found.won,
        lost=found.lost,
        win_rate=found.win_rate,
        gained=found.gained,
        given=found.given,
        best=found.best,
        worst=found.worst,
    )


def _share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return None if part is None or not whole else part / whole


def _by_name(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amounts[asset] for asset in sorted(amounts)}

"""A healthy desk with one good order, to be changed one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Check, RiskDecision, TradeIntent
from trading_core.domain.market import Ticker
from trading_core.domain.orders import Order, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.risk.engine import GateInputs, RecentOrder, evaluate
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk

D = Decimal
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
LIMITS = Limits(max_order_notional=D(50_000), approval_above_notional=None)
PERMISSIONS = frozenset({Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT, Action.PROPOSE_STOP, Action.PROPOSE_REBALANCE})
ACTOR = Principal("signal", PERMISSIONS, frozenset({"paper"}))


def instrument(symbol: str = BTC, **changes: object) -> Instrument:
    base = Instrument(symbol, tick_size=D("0.01"), lot_size=D("0.001"), min_quantity=D("0.001"), min_notional=D(5))
    return replace(base, **changes)


def ticker(symbol: str = BTC, price: int | Decimal = 100, **changes: object) -> Ticker:
    price = D(price)
    return replace(Ticker(symbol, price - D("0.1"), price + D("0.1"), price, NOW), **changes)


INSTRUMENTS = {symbol: instrument(symbol) for symbol in (BTC, ETH, SOL)}
TICKERS = {symbol: ticker(symbol) for symbol in (BTC, ETH, SOL)}


def buy(quantity: D | int | str = 10, **changes: object) -> TradeIntent:
    """A limit buy at the reference of 100 with its stop at 90."""
    return replace(
        TradeIntent(
            intent_id="i",
            run_id="r",
            account_id="paper",
            proposer="signal",
            purpose=Purpose.ENTRY,
            symbol=BTC,
            side=Side.BUY,
            quantity=D(quantity),
            type=OrderType.LIMIT,
            created_at=NOW,
            limit_price=D(100),
            stop_price=D(90),
        ),
        **changes,
    )


def sell(quantity: D | int | str = 10, **changes: object) -> TradeIntent:
    """A limit sale at the reference of 100."""
    return replace(buy(quantity, purpose=Purpose.EXIT, side=Side.SELL, stop_price=None), **changes)


def stop(quantity: D | int | str = 10, **changes: object) -> TradeIntent:
    """A protective stop at 90."""
    return replace(
        sell(quantity, purpose=Purpose.STOP, type=OrderType.STOP, limit_price=None, stop_price=D(90)),
        **changes,
    )


def holding(cash: D | int | str = 100_000, **held: D | int | str) -> Portfolio:
    """An account with cash and positions: `holding(5_000, BTC=10)`."""
    positions = {f"{base}/USDT": Position(f"{base}/USDT", D(amount), D(amount) * 100) for base, amount in held.items()}
    return Portfolio("paper", "USDT", D(100_000), {"USDT": D(cash)}, positions)


def live(
    side: Side = Side.BUY,
    quantity: D | int | str = 1,
    symbol: str = BTC,
    *,
    state: OrderState = OrderState.OPEN,
    **changes: object,
) -> Order:
    """A live limit order at 100; `changes` go to its request or, for `purpose` and `filled`, to the order."""
    purpose = changes.pop("purpose", Purpose.ENTRY if side is Side.BUY else Purpose.EXIT)
    filled = changes.pop("filled", D(0))
    request = replace(OrderRequest("c", symbol, side, OrderType.LIMIT, D(quantity), D(100)), **changes)
    return Order(request, "paper", "other", "r", purpose, NOW, state, filled=filled)


def recent(seconds: float = 300, **changes: object) -> RecentOrder:
    return replace(RecentOrder(NOW - timedelta(seconds=seconds), "signal", SOL, Side.BUY, D(7), "other"), **changes)


def inputs(**changes: object) -> GateInputs:
    base = GateInputs(
        now=NOW,
        actor=ACTOR,
        portfolio=holding(),
        account_known_at=NOW,
        open_orders=(),
        instruments=INSTRUMENTS,
        tickers=TICKERS,
        risk=AccountRisk.opened(D(100_000), NOW),
        correlations={},
        recent_orders=(),
        venue_healthy=True,
        has_approval=False,
    )
    return replace(base, **changes)


def risk(**changes: object) -> AccountRisk:
    return replace(AccountRisk.opened(D(100_000), NOW), **changes)


def limits(**changes: object) -> Limits:
    return Limits.model_validate({**LIMITS.model_dump(), **changes})


def decide(intent: TradeIntent, given: GateInputs | None = None, bounds: Limits = LIMITS) -> RiskDecision:
    return evaluate(intent, given or inputs(), bounds)


def found(decision: RiskDecision, code: str) -> Check:
    (only,) = [check for check in decision.checks if check.code == code]
    return only

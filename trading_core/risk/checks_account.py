"""The groups money, portfolio and loss: what an entry may take from the account. Sales of what is held skip them."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

from trading_core.domain.intents import TradeIntent
from trading_core.domain.money import ONE, ZERO
from trading_core.risk.checks import Finding, GateInputs, ReasonCode, age
from trading_core.risk.checks_facts import Book, OrderFacts
from trading_core.risk.limits import Limits


def account_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, book: Book) -> list[Finding]:
    """What does not depend on the quantity."""
    positions = len(book.positions) + (intent.symbol not in book.positions)
    blocked = intent.symbol in book.unknown
    return [
        (ReasonCode.EQUITY_UNKNOWN, book.equity > 0, book.equity, "above 0", "a holding has no price, or nothing is left"),
        (ReasonCode.RESERVATION_UNKNOWN, book.reserved >= 0, book.reserved, "known", "a live buy cannot be valued"),
        (
            ReasonCode.UNKNOWN_ORDER,
            not blocked,
            blocked,
            False,
            "the fate of an order in this symbol is not known: reconcile it with the venue first",
        ),
        (
            ReasonCode.CONCURRENT_POSITIONS,
            positions <= limits.max_positions,
            positions,
            limits.max_positions,
            "too many positions at the same time",
        ),
        (
            ReasonCode.OPEN_ORDERS,
            book.live < limits.max_open_orders,
            book.live + 1,
            limits.max_open_orders,
            "too many live orders",
        ),
    ]


def loss_checks(inputs: GateInputs, limits: Limits, book: Book) -> list[Finding]:
    """Losses are measured on equity, so that what is open counts like what is realised."""
    risk, today = inputs.risk, inputs.now.astimezone(UTC).date()
    lost_today, lost_from_peak = risk.day_start_equity - book.equity, risk.peak_equity - book.equity
    most_today, most_from_peak = limits.daily_loss * risk.day_start_equity, limits.drawdown * risk.peak_equity
    return [
        (ReasonCode.LOSS_BASELINE, risk.day == today, risk.day, today, "the equity at the start of this UTC day is not known"),
        (ReasonCode.DAILY_LOSS, lost_today < most_today, lost_today, most_today, "the day's loss has reached its limit"),
        (ReasonCode.DRAWDOWN, lost_from_peak < most_from_peak, lost_from_peak, most_from_peak, "drawdown has reached its limit"),
        _cool_down_check(inputs, limits),
    ]


def _cool_down_check(inputs: GateInputs, limits: Limits) -> Finding:
    streak = inputs.risk.consecutive_losses
    passed = streak < limits.consecutive_losses
    if not passed:
        since = age(inputs.now, inputs.risk.last_loss_at)
        passed = since is not None and since.total_seconds() >= limits.cool_down_seconds
    return (
        ReasonCode.CONSECUTIVE_LOSSES,
        passed,
        streak,
        limits.consecutive_losses,
        "losses in a row: the cool-down is not over",
    )


def entry_size_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts, book: Book) -> list[Finding]:
    """Upper bounds on an entry's quantity set by the account: they hold for every smaller one, too.

    The Herfindahl index is taken over weights in equity, cash being no position (A. O. Hirschman, "The Paternity of an
    Index", American Economic Review 54, 1964).
    """
    equity, notional, values, traded = book.equity, facts.notional, book.values, intent.symbol
    left = inputs.portfolio.cash - book.reserved - notional * (1 + facts.fee)
    reserve = limits.cash_reserve * equity
    position = values.get(traded, ZERO) + notional
    total, squares, correlated = position, position * position, position
    correlations = inputs.correlations
    for symbol, value in values.items():
        if symbol == traded:
            continue
        total += value
        squares += value * value
        correlation = correlations.get(frozenset((traded, symbol)))
        correlated += value if correlation is None else value * _weight(correlation)
    # At the stop the entry has lost the way down and both fees.
    at_stop = facts.quantity * (facts.worst - facts.stop + facts.fee * (facts.worst + facts.stop))
    return [
        (
            ReasonCode.INSUFFICIENT_CASH,
            left >= reserve,
            left,
            reserve,
            "too little cash would be left, open orders and fees paid",
        ),
        _within(ReasonCode.RISK_PER_TRADE, at_stop, limits.risk_per_trade * equity, "it would lose too much at its stop"),
        _within(ReasonCode.POSITION_EXPOSURE, position, limits.max_position * equity, "the position would be too large"),
        _within(ReasonCode.TOTAL_EXPOSURE, total, limits.max_exposure * equity, "all positions together would be too large"),
        _within(
            ReasonCode.CONCENTRATION, squares, limits.max_concentration * equity * equity, "squared weights (Herfindahl) too high"
        ),
        _within(
            ReasonCode.CORRELATED_EXPOSURE,
            correlated,
            limits.max_correlated_exposure * equity,
            "positions that move together would be too large",
        ),
    ]


def _weight(correlation: Decimal) -> Decimal:
    """How far another position adds to the risk of this one. Nonsense is full; a negative one is not trusted to offset."""
    if not -ONE <= correlation <= ONE:
        return ONE
    return correlation if correlation > ZERO else ZERO


def _within(code: ReasonCode, found: Decimal, limit: Decimal, detail: str) -> Finding:
    return (code, found <= limit, found, limit, detail)

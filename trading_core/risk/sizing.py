"""How much: three published sizing rules, and the largest quantity the gate would let through.

The rules return raw quantities in base; `affordable` rounds to lots.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

from trading_core.domain.errors import InvalidInput
from trading_core.domain.intents import TradeIntent
from trading_core.domain.money import ONE, ZERO, decimal, plain, positive
from trading_core.risk.checks import ARITHMETIC, GateInputs, ReasonCode, failures, usable
from trading_core.risk.checks_account import entry_size_checks
from trading_core.risk.checks_facts import Book, Marks, OrderFacts, order_facts, read_book
from trading_core.risk.checks_order import floor_checks, size_checks
from trading_core.risk.limits import Limits

# What `affordable` sizes for. Approval and the duplicate window are left to the gate: trading less is no answer to either.
QUANTITY_DEPENDENT = frozenset(
    {
        ReasonCode.QUANTITY_INVALID,
        ReasonCode.LOT_SIZE,
        ReasonCode.MIN_QUANTITY,
        ReasonCode.MIN_NOTIONAL,
        ReasonCode.MAX_QUANTITY,
        ReasonCode.MAX_NOTIONAL,
        ReasonCode.ACTOR_ORDER_SIZE,
        ReasonCode.ORDER_CAP,
        ReasonCode.FAT_FINGER,
        ReasonCode.OVERSELL,
        ReasonCode.INSUFFICIENT_CASH,
        ReasonCode.RISK_PER_TRADE,
        ReasonCode.POSITION_EXPOSURE,
        ReasonCode.TOTAL_EXPOSURE,
        ReasonCode.CONCENTRATION,
        ReasonCode.CORRELATED_EXPOSURE,
    }
)


def fixed_fractional(equity: Decimal, risk_fraction: Decimal, entry: Decimal, stop: Decimal, taker_fee: Decimal) -> Decimal:
    """The quantity that loses `risk_fraction` of `equity` when its stop is hit at its price, both fees paid.

    quantity = equity × risk_fraction / (entry − stop + fee × (entry + stop))

    Source: R. Vince, "Portfolio Management Formulas", 1990, with fees added to the loss per unit.

    Raises:
        InvalidInput: a number is not usable, or the stop is not below the entry.
    """
    entry, stop = positive(entry, name="entry"), positive(stop, name="stop")
    if stop >= entry:
        raise InvalidInput(f"stop {plain(stop)} is not below the entry {plain(entry)}", not_done="No quantity was worked out")
    per_unit = entry - stop + _fraction(taker_fee, "taker fee") * (entry + stop)
    return positive(equity, name="equity") * _fraction(risk_fraction, "risk fraction") / per_unit


def volatility_targeted(equity: Decimal, target: Decimal, volatility: Decimal, price: Decimal) -> Decimal:
    """The quantity whose share of equity brings the account to `target` volatility, never more than all of equity.

    weight = target / volatility, both standard deviations of returns over the same length of time.

    Source: A. Moreira and T. Muir, "Volatility-Managed Portfolios", Journal of Finance 72, 2017.

    Raises:
        InvalidInput: a number is not above zero.
    """
    weight = positive(target, name="target volatility") / positive(volatility, name="volatility")
    return positive(equity, name="equity") * min(weight, ONE) / positive(price, name="price")


def fractional_kelly(
    equity: Decimal,
    fraction: Decimal,
    mean: Decimal,
    volatility: Decimal,
    observations: int,
    price: Decimal,
    *,
    standard_errors: Decimal = ONE,
) -> Decimal:
    """The quantity of a fraction of Kelly's growth-optimal weight, the mean first lowered by its own uncertainty.

    weight = fraction × max(0, mean − standard_errors × volatility / √observations) / volatility²

    A mean from few observations is mostly noise, and betting on too high a mean costs more growth than on too low a one;
    hence the standard error is taken off before the fraction is. The weight is never more than all of equity.

    Sources: J. L. Kelly, "A New Interpretation of Information Rate", Bell System Technical Journal 35, 1956; E. O. Thorp,
    "The Kelly Criterion in Blackjack, Sports Betting, and the Stock Market", 2006 (continuous form); R. D. Baker and
    I. G. McHale, "Optimal Betting Under Parameter Uncertainty", Decision Analysis 10, 2013 (shrinkage).

    Args:
        mean: average excess return per period, fraction.
        volatility: standard deviation of the same returns, fraction.
        observations: number of returns both were estimated from.
        standard_errors: how many standard errors to take off the mean.

    Raises:
        InvalidInput: a number is not usable, or there are fewer than two observations.
    """
    if observations < 2:
        raise InvalidInput(f"{observations} observations do not estimate a mean", not_done="No quantity was worked out")
    volatility = positive(volatility, name="volatility")
    error = volatility / Decimal(observations).sqrt()
    cautious = decimal(mean, name="mean") - _not_negative(standard_errors, "standard errors") * error
    if cautious <= 0:
        return ZERO
    weight = _fraction(fraction, "Kelly fraction") * cautious / volatility**2
    return positive(equity, name="equity") * min(weight, ONE) / positive(price, name="price")


def affordable(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> Decimal:
    """The largest whole number of lots, at most `intent.quantity`, that passes every check in `QUANTITY_DEPENDENT`.

    It asks the gate's own checks by bisection, so that the two cannot disagree: each of those bounds that holds for a
    quantity holds for every smaller one.

    Returns:
        Base quantity; 0 when no quantity passes or something needed is not known.
    """
    with localcontext(ARITHMETIC):
        marks = Marks(inputs, limits)
        facts, book = order_facts(intent, inputs, limits, marks), read_book(inputs, limits, marks)
        instrument = facts.instrument
        known = usable(facts.quantity) and usable(facts.reference)
        if instrument is None or not usable(instrument.lot_size) or not known:
            return ZERO
        lots = _most_lots(intent, inputs, limits, facts, book, int(facts.quantity // instrument.lot_size))
        sized = replace(facts, quantity=lots * instrument.lot_size)
        return ZERO if failures(floor_checks(sized)) else sized.quantity


def _most_lots(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts, book: Book, wanted: int) -> int:
    lot = facts.instrument.lot_size if facts.instrument is not None else ZERO

    def fits(lots: int) -> bool:
        sized = replace(facts, quantity=lots * lot)
        checks = size_checks(intent, inputs, limits, sized, book)
        if not intent.reduces:
            checks += entry_size_checks(intent, inputs, limits, sized, book)
        return not failures(checks)

    if fits(wanted):
        return wanted
    passes, fails = 0, wanted
    while fails - passes > 1:
        middle = (passes + fails) // 2
        if fits(middle):
            passes = middle
        else:
            fails = middle
    return passes


def _fraction(value: Decimal, name: str) -> Decimal:
    number = _not_negative(value, name)
    if number > 1:
        raise InvalidInput(f"{name} is {plain(number)}, and must not be above 1")
    return number


def _not_negative(value: Decimal, name: str) -> Decimal:
    number = decimal(value, name=name)
    if number < 0:
        raise InvalidInput(f"{name} is {plain(number)}, and must not be below zero")
    return number

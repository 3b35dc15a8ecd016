"""The groups state, knowledge and order: may anything trade, is the market known, and is this order well made."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from statistics import median

from trading_core.domain.intents import TradeIntent
from trading_core.domain.money import ZERO, is_multiple
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.risk.checks import HUGE, UNKNOWN, Finding, GateInputs, ReasonCode, age, or_unknown, usable
from trading_core.risk.checks_facts import STOP_TYPES, Book, OrderFacts, available_to_sell
from trading_core.risk.limits import Limits
from trading_core.risk.state import TradingState

# Fewer orders than this are no measure of what is usual.
USUAL_AFTER = 3


def state_checks(intent: TradeIntent, inputs: GateInputs) -> list[Finding]:
    state = inputs.risk.trading_state
    allowed = state is TradingState.ACTIVE or (state is TradingState.REDUCING and intent.reduces)
    return [
        (
            ReasonCode.TRADING_STATE,
            allowed,
            state,
            TradingState.REDUCING if intent.reduces else TradingState.ACTIVE,
            inputs.risk.reason or "trading is stopped",
        ),
        (ReasonCode.VENUE_HEALTH, inputs.venue_healthy, inputs.venue_healthy, True, "the venue is not answering properly"),
    ]


def knowledge_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts) -> list[Finding]:
    listed = facts.instrument is not None and facts.instrument.symbol == intent.symbol
    currency = inputs.portfolio.currency
    quote = intent.symbol.partition("/")[2]
    known = age(inputs.now, inputs.account_known_at)
    seconds = None if known is None else known.total_seconds()
    fresh = seconds is not None and -limits.max_clock_skew_seconds <= seconds <= limits.max_account_age_seconds
    return [
        (ReasonCode.INSTRUMENT_UNKNOWN, listed, intent.symbol, "listed", "the venue does not list this symbol"),
        (ReasonCode.QUOTE_CURRENCY, quote == currency, quote, currency, "equity is told in another currency"),
        (
            ReasonCode.ACCOUNT_STALE,
            fresh,
            seconds if seconds is not None else "unknown",
            limits.max_account_age_seconds,
            "the account was not confirmed lately (seconds): what it holds is not known",
        ),
        *_price_checks(intent, inputs, limits),
    ]


def _price_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> list[Finding]:
    ticker = inputs.tickers.get(intent.symbol)
    found = ticker is not None and ticker.symbol == intent.symbol
    checks: list[Finding] = [(ReasonCode.PRICE_MISSING, found, found, True, "there is no price for this symbol")]
    if ticker is None:
        return checks
    bad = [price for price in (ticker.bid, ticker.ask, ticker.last) if not ZERO < price < HUGE]
    old = age(inputs.now, ticker.at)
    seconds = old.total_seconds() if old is not None else float("nan")
    shown = seconds if old is not None else "unknown"
    skew = limits.max_clock_skew_seconds
    checks += [
        (
            ReasonCode.PRICE_INVALID,
            not bad,
            bad[0] if bad else ticker.last,
            "above 0",
            "a price is zero, negative or no number",
        ),
        (ReasonCode.BOOK_CROSSED, ticker.bid <= ticker.ask, ticker.bid, ticker.ask, "the bid is above the ask"),
        (
            ReasonCode.PRICE_STALE,
            seconds <= limits.max_price_age_seconds,
            shown,
            limits.max_price_age_seconds,
            "the price is too old to decide on (seconds)",
        ),
        (ReasonCode.PRICE_IN_FUTURE, seconds >= -skew, shown, -skew, "the price is dated ahead of the clock (seconds)"),
    ]
    return checks


def shape_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts) -> list[Finding]:
    """What does not depend on the quantity: side, type, prices and stop."""
    checks: list[Finding] = [
        (
            ReasonCode.PURPOSE_SIDE,
            intent.purpose is Purpose.REBALANCE or intent.reduces is (intent.purpose is not Purpose.ENTRY),
            " ".join((intent.purpose, intent.side)),
            "entries buy, exits and stops sell",
            "the side contradicts the purpose",
        ),
        (
            ReasonCode.ORDER_SHAPE,
            _well_formed(intent),
            " ".join((intent.type, intent.time_in_force)),
            "prices that fit the type",
            "market orders take no limit price, limit orders need one, and only protective stops may be stop orders",
        ),
        _tick_check(intent, facts),
        _collar_check(intent, facts, limits),
        _worst_price_check(intent, facts, limits),
        _take_profit_check(intent, facts),
        _expiry_check(intent, inputs),
    ]
    if not intent.reduces or intent.purpose is Purpose.STOP:
        checks += _stop_checks(intent, facts)
    return checks


def _well_formed(intent: TradeIntent) -> bool:
    if (intent.purpose is Purpose.STOP) is not (intent.type in STOP_TYPES):
        return False
    if intent.time_in_force is TimeInForce.POST_ONLY and intent.type is not OrderType.LIMIT:
        return False
    return (intent.limit_price is not None) is (intent.type in (OrderType.LIMIT, OrderType.STOP_LIMIT))


def _tick_check(intent: TradeIntent, facts: OrderFacts) -> Finding:
    tick = UNKNOWN if facts.instrument is None else facts.instrument.tick_size
    prices = [price for price in (intent.limit_price, intent.stop_price, intent.take_profit) if price is not None]
    off = [price for price in prices if not (price > 0 and is_multiple(price, tick))]
    found: object = off[0] if off else "ok"
    return (ReasonCode.TICK_SIZE, not off, found, tick, "a price is not a positive multiple of the tick size")


def _collar_check(intent: TradeIntent, facts: OrderFacts, limits: Limits) -> Finding:
    width = limits.price_collar * facts.anchor
    if intent.limit_price is None:
        return (ReasonCode.PRICE_COLLAR, True, "no limit price", width, "")
    distance = abs(intent.limit_price - facts.anchor)
    return (ReasonCode.PRICE_COLLAR, distance <= width, distance, width, "the limit price lies too far from the last good price")


def _worst_price_check(intent: TradeIntent, facts: OrderFacts, limits: Limits) -> Finding:
    worst, limit = intent.worst_price, intent.limit_price
    if worst is None:
        return (ReasonCode.WORST_PRICE, True, "none", "none", "")
    passed = abs(worst - facts.anchor) <= limits.price_collar * facts.anchor
    if limit is not None:
        passed = passed and (limit <= worst if intent.side is Side.BUY else limit >= worst)
    bound = facts.anchor * (1 + limits.price_collar if intent.side is Side.BUY else 1 - limits.price_collar)
    return (ReasonCode.WORST_PRICE, passed, worst, bound, "it lies outside the collar, or the limit price is worse than it")


def _take_profit_check(intent: TradeIntent, facts: OrderFacts) -> Finding:
    """It sells what an entry bought: only entries have one, above the market and the entry's own price."""
    if intent.take_profit is None:
        return (ReasonCode.TAKE_PROFIT_SIDE, True, "none", "none", "")
    price, bound = or_unknown(intent.take_profit), max(facts.reference, facts.worst)
    passed = not intent.reduces and price > facts.reference and price > facts.worst
    return (ReasonCode.TAKE_PROFIT_SIDE, passed, price, bound, "only a buy has one, above the market and the entry price")


def _expiry_check(intent: TradeIntent, inputs: GateInputs) -> Finding:
    if intent.expires_at is None:
        return (ReasonCode.EXPIRY, True, "none", "none", "")
    past = age(inputs.now, intent.expires_at)
    passed = past is not None and past < timedelta(0)
    return (ReasonCode.EXPIRY, passed, intent.expires_at, inputs.now, "it has expired already, or its time has no zone")


def _stop_checks(intent: TradeIntent, facts: OrderFacts) -> list[Finding]:
    """A stop must exist and lie below both the market and an entry's own price, else it would fire at once."""
    given = intent.stop_price is not None
    below = facts.stop < facts.reference and (intent.reduces or facts.stop < facts.worst)
    return [
        (ReasonCode.STOP_MISSING, given, given, True, "every buy needs a stop price, and so does a stop order"),
        (ReasonCode.STOP_SIDE, below, facts.stop, facts.reference, "the stop is not below the market and the entry price"),
    ]


def size_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts, book: Book) -> list[Finding]:
    """Upper bounds on the quantity that the order carries by itself: they hold for every smaller one, too."""
    instrument, quantity, notional = facts.instrument, facts.quantity, facts.notional
    at_venue = quantity * facts.venue_price
    most = UNKNOWN if instrument is None else instrument.max_quantity
    most_notional = UNKNOWN if instrument is None else instrument.max_notional
    cap = inputs.actor.max_order_notional
    checks = [
        _at_most(ReasonCode.MAX_QUANTITY, quantity, most, "above the venue's largest quantity"),
        _at_most(ReasonCode.MAX_NOTIONAL, at_venue, most_notional, "above the venue's largest notional"),
        _at_most(ReasonCode.ACTOR_ORDER_SIZE, notional, cap, "above what this actor may order at once"),
    ]
    if intent.reduces:
        room = available_to_sell(intent.symbol, inputs, book)
        return [*checks, _at_most(ReasonCode.OVERSELL, quantity, room, "more than is held and not promised to another sale")]
    return [
        *checks,
        _at_most(ReasonCode.ORDER_CAP, notional, limits.max_order_notional, "above the desk's largest order"),
        _fat_finger_check(intent, inputs, limits, quantity),
    ]


def _fat_finger_check(intent: TradeIntent, inputs: GateInputs, limits: Limits, quantity: Decimal) -> Finding:
    """Compare with the median quantity of recent orders in the symbol: quantities, as a price cannot distort them."""
    symbol, intent_id = intent.symbol, intent.intent_id
    usual = [recent.quantity for recent in inputs.recent_orders if recent.symbol == symbol and recent.intent_id != intent_id]
    if len(usual) < USUAL_AFTER:
        return (ReasonCode.FAT_FINGER, True, quantity, "too few orders to compare with", "")
    return _at_most(
        ReasonCode.FAT_FINGER, quantity, limits.fat_finger_factor * median(usual), "many times the usual order in this symbol"
    )


def floor_checks(facts: OrderFacts) -> list[Finding]:
    """What the venue demands of the quantity from below, and its grid."""
    instrument, quantity = facts.instrument, facts.quantity
    lot = UNKNOWN if instrument is None else instrument.lot_size
    least = UNKNOWN if instrument is None else instrument.min_quantity
    least_notional = UNKNOWN if instrument is None else instrument.min_notional
    at_venue = quantity * facts.venue_price
    if usable(facts.stop) and facts.stop < facts.venue_price:
        # An entry's protective stop must be an order the venue takes too: what cannot be protected is not opened.
        at_venue = quantity * (1 - facts.fee) * facts.stop
    return [
        (ReasonCode.QUANTITY_INVALID, quantity > 0, quantity, "above 0", "the quantity is zero, negative or no number"),
        (ReasonCode.LOT_SIZE, is_multiple(quantity, lot), quantity, lot, "not a multiple of the lot size"),
        (ReasonCode.MIN_QUANTITY, quantity >= least, quantity, least, "below the venue's smallest quantity"),
        (ReasonCode.MIN_NOTIONAL, at_venue >= least_notional, at_venue, least_notional, "below the venue's smallest notional"),
    ]


def _at_most(code: ReasonCode, found: Decimal, limit: Decimal | None, detail: str) -> Finding:
    if limit is None:
        return (code, True, found, "none", "")
    return (code, found <= limit, found, limit, detail)

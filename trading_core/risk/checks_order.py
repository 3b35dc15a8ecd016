"""The groups state, knowledge and order: may anything trade, is the market known, and is this order well made."""

from __future__ import annotations

from decimal import Decimal
from statistics import median

from trading_core.domain.intents import Check, TradeIntent
from trading_core.domain.money import is_multiple
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.risk.checks import HUGE, UNKNOWN, GateInputs, ReasonCode, age, check, usable
from trading_core.risk.checks_facts import STOP_TYPES, Book, OrderFacts, available_to_sell
from trading_core.risk.limits import Limits
from trading_core.risk.state import TradingState

# Fewer orders than this are no measure of what is usual.
USUAL_AFTER = 3


def state_checks(intent: TradeIntent, inputs: GateInputs) -> list[Check]:
    state = inputs.risk.trading_state
    allowed = state is TradingState.ACTIVE or (state is TradingState.REDUCING and intent.reduces)
    return [
        check(
            ReasonCode.TRADING_STATE,
            allowed,
            state,
            TradingState.REDUCING if intent.reduces else TradingState.ACTIVE,
            inputs.risk.reason or "trading is stopped",
        ),
        check(ReasonCode.VENUE_HEALTH, inputs.venue_healthy, inputs.venue_healthy, True, "the venue is not answering properly"),
    ]


def knowledge_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts) -> list[Check]:
    listed = facts.instrument is not None and facts.instrument.symbol == intent.symbol
    currency = inputs.portfolio.currency
    quote = intent.symbol.partition("/")[2]
    known = age(inputs.now, inputs.account_known_at)
    seconds = None if known is None else known.total_seconds()
    fresh = seconds is not None and -limits.max_clock_skew_seconds <= seconds <= limits.max_account_age_seconds
    return [
        check(ReasonCode.INSTRUMENT_UNKNOWN, listed, intent.symbol, "listed", "the venue does not list this symbol"),
        check(ReasonCode.QUOTE_CURRENCY, quote == currency, quote, currency, "equity is told in another currency"),
        check(
            ReasonCode.ACCOUNT_STALE,
            fresh,
            seconds if seconds is not None else "unknown",
            limits.max_account_age_seconds,
            "the account was not confirmed lately (seconds): what it holds is not known",
        ),
        *_price_checks(intent, inputs, limits),
    ]


def _price_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> list[Check]:
    ticker = inputs.tickers.get(intent.symbol)
    found = ticker is not None and ticker.symbol == intent.symbol
    checks = [check(ReasonCode.PRICE_MISSING, found, found, True, "there is no price for this symbol")]
    if ticker is None:
        return checks
    prices = (ticker.bid, ticker.ask, ticker.last)
    old = age(inputs.now, ticker.at)
    seconds = old.total_seconds() if old is not None else float("nan")
    shown = seconds if old is not None else "unknown"
    skew = limits.max_clock_skew_seconds
    checks += [
        check(
            ReasonCode.PRICE_INVALID,
            all(0 < price < HUGE for price in prices),
            next((price for price in prices if not 0 < price < HUGE), ticker.last),
            "above 0",
            "a price is zero, negative or no number",
        ),
        check(ReasonCode.BOOK_CROSSED, ticker.bid <= ticker.ask, ticker.bid, ticker.ask, "the bid is above the ask"),
        check(
            ReasonCode.PRICE_STALE,
            seconds <= limits.max_price_age_seconds,
            shown,
            limits.max_price_age_seconds,
            "the price is too old to decide on (seconds)",
        ),
        check(ReasonCode.PRICE_IN_FUTURE, seconds >= -skew, shown, -skew, "the price is dated ahead of the clock (seconds)"),
    ]
    return checks


def shape_checks(intent: TradeIntent, facts: OrderFacts, limits: Limits) -> list[Check]:
    """What does not depend on the quantity: side, type, prices and stop."""
    checks = [
        check(
            ReasonCode.PURPOSE_SIDE,
            intent.purpose is Purpose.REBALANCE or intent.reduces is (intent.purpose is not Purpose.ENTRY),
            f"{intent.purpose} {intent.side}",
            "entries buy, exits and stops sell",
            "the side contradicts the purpose",
        ),
        check(
            ReasonCode.ORDER_SHAPE,
            _well_formed(intent),
            f"{intent.type} {intent.time_in_force}",
            "prices that fit the type",
            "market orders take no limit price, limit orders need one, and only protective stops may be stop orders",
        ),
        _tick_check(intent, facts),
        _collar_check(intent, facts, limits),
        _worst_price_check(intent, facts, limits),
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


def _tick_check(intent: TradeIntent, facts: OrderFacts) -> Check:
    tick = UNKNOWN if facts.instrument is None else facts.instrument.tick_size
    prices = [price for price in (intent.limit_price, intent.stop_price) if price is not None]
    off = [price for price in prices if not (price > 0 and is_multiple(price, tick))]
    found: object = off[0] if off else "ok"
    return check(ReasonCode.TICK_SIZE, not off, found, tick, "a price is not a positive multiple of the tick size")


def _collar_check(intent: TradeIntent, facts: OrderFacts, limits: Limits) -> Check:
    width = limits.price_collar * facts.anchor
    if intent.limit_price is None:
        return check(ReasonCode.PRICE_COLLAR, True, "no limit price", width, "")
    distance = abs(intent.limit_price - facts.anchor)
    return check(
        ReasonCode.PRICE_COLLAR, distance <= width, distance, width, "the limit price lies too far from the last good price"
    )


def _worst_price_check(intent: TradeIntent, facts: OrderFacts, limits: Limits) -> Check:
    worst, limit = intent.worst_price, intent.limit_price
    if worst is None:
        return check(ReasonCode.WORST_PRICE, True, "none", "none", "")
    passed = abs(worst - facts.anchor) <= limits.price_collar * facts.anchor
    if limit is not None:
        passed = passed and (limit <= worst if intent.side is Side.BUY else limit >= worst)
    bound = facts.anchor * (1 + limits.price_collar if intent.side is Side.BUY else 1 - limits.price_collar)
    return check(ReasonCode.WORST_PRICE, passed, worst, bound, "it lies outside the collar, or the limit price is worse than it")


def _stop_checks(intent: TradeIntent, facts: OrderFacts) -> list[Check]:
    """A stop must exist and lie below both the market and an entry's own price, else it would fire at once."""
    given = intent.stop_price is not None
    below = facts.stop < facts.reference and (intent.reduces or facts.stop < facts.worst)
    return [
        check(ReasonCode.STOP_MISSING, given, given, True, "every buy needs a stop price, and so does a stop order"),
        check(ReasonCode.STOP_SIDE, below, facts.stop, facts.reference, "the stop is not below the market and the entry price"),
    ]


def size_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits, facts: OrderFacts, book: Book) -> list[Check]:
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


def _fat_finger_check(intent: TradeIntent, inputs: GateInputs, limits: Limits, quantity: Decimal) -> Check:
    """Compare with the median quantity of recent orders in the symbol: quantities, as a price cannot distort them."""
    usual = [
        recent.quantity
        for recent in inputs.recent_orders
        if recent.symbol == intent.symbol and recent.intent_id != intent.intent_id
    ]
    if len(usual) < USUAL_AFTER:
        return check(ReasonCode.FAT_FINGER, True, quantity, "too few orders to compare with", "")
    return _at_most(
        ReasonCode.FAT_FINGER, quantity, limits.fat_finger_factor * median(usual), "many times the usual order in this symbol"
    )


def floor_checks(facts: OrderFacts) -> list[Check]:
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
        check(ReasonCode.QUANTITY_INVALID, quantity > 0, quantity, "above 0", "the quantity is zero, negative or no number"),
        check(ReasonCode.LOT_SIZE, is_multiple(quantity, lot), quantity, lot, "not a multiple of the lot size"),
        check(ReasonCode.MIN_QUANTITY, quantity >= least, quantity, least, "below the venue's smallest quantity"),
        check(
            ReasonCode.MIN_NOTIONAL, at_venue >= least_notional, at_venue, least_notional, "below the venue's smallest notional"
        ),
    ]


def _at_most(code: ReasonCode, found: Decimal, limit: Decimal | None, detail: str) -> Check:
    if limit is None:
        return check(code, True, found, "none", "")
    return check(code, found <= limit, found, limit, detail)

"""The groups tempo and authority: how often, and with whose permission."""

from __future__ import annotations

from datetime import timedelta

from trading_core.domain.intents import CORE, TradeIntent
from trading_core.risk.checks import Finding, GateInputs, ReasonCode, aware
from trading_core.risk.checks_facts import OrderFacts
from trading_core.risk.limits import Limits

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def authority_checks(intent: TradeIntent, inputs: GateInputs) -> list[Finding]:
    actor, account = inputs.actor, inputs.portfolio.account_id
    action = "propose:" + intent.purpose
    own = intent.account_id == account and intent.account_id in actor.accounts
    return [
        (
            ReasonCode.ACTOR_IDENTITY,
            intent.proposer == actor.name,
            intent.proposer,
            actor.name,
            "it was proposed as somebody else",
        ),
        (ReasonCode.ACTOR_PERMISSION, action in actor.actions, action, "permitted", "this actor may not do this"),
        (ReasonCode.ACTOR_ACCOUNT, own, intent.account_id, account, "not this account, or the actor may not act on it"),
    ]


def approval_check(inputs: GateInputs, limits: Limits, facts: OrderFacts) -> Finding:
    threshold = limits.approval_above_notional
    small = threshold is None or facts.notional <= threshold
    passed = inputs.has_approval or (small and not inputs.was_asked)
    limit: object = "none" if threshold is None else threshold
    return (ReasonCode.APPROVAL, passed, facts.notional, limit, "an operator has to approve it")


def tempo_checks(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> list[Finding]:
    """Counts include this order. One of unknown or future time counts as just now; the intent itself does not count twice.

    The core's own stops and sales count for nothing: nobody asked for them, and they must not keep anybody from leaving.
    """
    minute, own_minute, day, own_day, repeated = 1, 1, 1, 1, False
    now, window = aware(inputs.now), limits.duplicate_window_seconds
    intent_id, symbol, actor = intent.intent_id, intent.symbol, inputs.actor.name
    minute_ago, day_ago, window_ago = now - MINUTE, now - DAY, now - timedelta(seconds=window)
    for recent in inputs.recent_orders:
        if recent.intent_id == intent_id or recent.actor == CORE:
            continue
        at = recent.at
        if at.tzinfo is None:
            at = now
        if at > day_ago:
            own = recent.actor == actor
            day += 1
            own_day += own
            if at > minute_ago:
                minute += 1
                own_minute += own
        if at > window_ago and recent.symbol == symbol and recent.side is intent.side:
            repeated = repeated or recent.quantity == intent.quantity
    return [
        _count(ReasonCode.ACTOR_ORDERS_PER_MINUTE, own_minute, limits.orders_per_minute_per_actor),
        _count(ReasonCode.ORDERS_PER_MINUTE, minute, limits.orders_per_minute),
        _count(ReasonCode.ACTOR_ORDERS_PER_DAY, own_day, limits.orders_per_day_per_actor),
        _count(ReasonCode.ORDERS_PER_DAY, day, limits.orders_per_day),
        (
            ReasonCode.DUPLICATE_INTENT,
            not repeated,
            repeated,
            False,
            f"the same order was asked for less than {window} seconds ago under another intent",
        ),
    ]


def _count(code: ReasonCode, found: int, limit: int) -> Finding:
    return (code, found <= limit, found, limit, "too many orders in this window")

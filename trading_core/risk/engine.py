"""The risk gate: one pure function from an intent and everything known to a decision. No I/O, no clock, no randomness."""

from __future__ import annotations

from decimal import localcontext

from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.risk.checks import ARITHMETIC, Checks, GateInputs, ReasonCode, RecentOrder, failures
from trading_core.risk.checks_account import account_checks, entry_size_checks, loss_checks
from trading_core.risk.checks_actor import approval_check, authority_checks, tempo_checks
from trading_core.risk.checks_facts import Marks, order_facts, read_book
from trading_core.risk.checks_order import floor_checks, knowledge_checks, shape_checks, size_checks, state_checks
from trading_core.risk.limits import Limits

__all__ = ["GateInputs", "ReasonCode", "RecentOrder", "evaluate"]


def evaluate(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> RiskDecision:
    """Whether `intent` may become an order.

    Every check is made and listed, failed or not. What cannot be known fails; bad data never raises. Sales skip the
    groups money, portfolio and loss, for they only give risk back, and may not exceed what is held.

    Returns:
        `DENIED` when any check fails, `NEEDS_APPROVAL` when the operator's yes is all that is missing, else `APPROVED`.
    """
    with localcontext(ARITHMETIC):
        marks = Marks(inputs, limits)
        facts, book = order_facts(intent, inputs, limits, marks), read_book(inputs, limits, marks)
        findings = [
            *state_checks(intent, inputs),
            *authority_checks(intent, inputs),
            *knowledge_checks(intent, inputs, limits, facts),
            *floor_checks(facts),
            *shape_checks(intent, inputs, limits, facts),
            *size_checks(intent, inputs, limits, facts, book),
        ]
        if not intent.reduces:
            findings += account_checks(intent, inputs, limits, book)
            findings += entry_size_checks(intent, inputs, limits, facts, book)
            findings += loss_checks(inputs, limits, book)
        findings += tempo_checks(intent, inputs, limits)
        findings.append(approval_check(inputs, limits, facts))
    failed = failures(findings)
    verdict = Verdict.DENIED
    if not failed:
        verdict = Verdict.APPROVED
    elif failed == [ReasonCode.APPROVAL]:
        verdict = Verdict.NEEDS_APPROVAL
    return RiskDecision(intent.intent_id, verdict, Checks(findings), inputs.now)

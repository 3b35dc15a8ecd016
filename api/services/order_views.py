"""Orders, fills and intents of the record as they are answered."""

from __future__ import annotations

from collections.abc import Sequence

from api.schemas.intents import ApprovalOut, CheckOut, DecisionOut, IntentOut
from api.schemas.orders import FillOut, OrderDetailOut, OrderOut, OrderStep, QualityOut
from trading_core.domain.intents import Approval, RiskDecision, TradeIntent
from trading_core.domain.orders import Fill, Order
from trading_core.execution.quality import measure
from trading_core.persistence.records import OrderEventRecord


def order_out(order: Order, fills: Sequence[Fill]) -> OrderOut:
    """An order with what its fills cost against the price it was decided at."""
    request = order.request
    return OrderOut(
        id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        type=request.type,
        purpose=order.purpose,
        state=order.state,
        quantity=request.quantity,
        filled=order.filled,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
        average_price=order.average_price,
        slippage=measure(order, fills).slippage,
        reason=order.reason,
        intent_id=order.intent_id,
        run_id=order.run_id,
        venue_order_id=order.venue_order_id,
        created_at=order.created_at,
        updated_at=order.updated_at,
        expires_at=order.expires_at,
        is_live=order.is_live,
    )


def order_detail(order: Order, events: Sequence[OrderEventRecord], fills: Sequence[Fill]) -> OrderDetailOut:
    """An order with all that happened to it."""
    found = measure(order, fills)
    return OrderDetailOut(
        order=order_out(order, fills),
        events=[OrderStep(sequence=e.sequence, event=e.event, state=e.state, at=e.at, detail=e.detail) for e in events],
        fills=[fill_out(fill) for fill in fills],
        quality=QualityOut(
            reference_price=found.reference_price,
            slippage=found.slippage,
            fill_ratio=found.fill_ratio,
            first_fill_after=found.first_fill_after,
            last_fill_after=found.last_fill_after,
            fees={asset: found.fees[asset] for asset in sorted(found.fees)},
            is_alarming=found.is_alarming,
        ),
    )


def fill_out(fill: Fill) -> FillOut:
    """An execution."""
    return FillOut(
        trade_id=fill.trade_id,
        order_id=fill.client_order_id,
        symbol=fill.symbol,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        notional=fill.notional,
        fee=fill.fee.amount,
        fee_asset=fill.fee.asset,
        is_maker=fill.is_maker,
        at=fill.at,
    )


def intent_out(intent: TradeIntent, decisions: Sequence[RiskDecision], approval: Approval | None) -> IntentOut:
    """An intent with the gate's last word."""
    last = decisions[-1] if decisions else None
    return IntentOut(
        id=intent.intent_id,
        run_id=intent.run_id,
        proposer=intent.proposer,
        purpose=intent.purpose,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        worst_price=intent.worst_price,
        take_profit=intent.take_profit,
        time_in_force=intent.time_in_force,
        strategy=intent.strategy,
        reason=intent.reason,
        evidence=list(intent.evidence),
        content_hash=intent.content_hash,
        created_at=intent.created_at,
        expires_at=intent.expires_at,
        verdict=None if last is None else last.verdict,
        failed=[] if last is None else list(last.reason_codes),
        approval=None if approval is None else approval_out(approval),
    )


def decision_out(decision: RiskDecision) -> DecisionOut:
    """One answer of the gate with all its checks."""
    checks = [
        CheckOut(code=one.code, passed=one.passed, found=one.found, limit=one.limit, detail=one.detail) for one in decision.checks
    ]
    return DecisionOut(verdict=decision.verdict, decided_at=decision.decided_at, checks=checks)


def approval_out(approval: Approval) -> ApprovalOut:
    """What a person was asked, and answered."""
    return ApprovalOut(
        state=approval.state,
        price=approval.price,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        decided_by=approval.decided_by,
        decided_at=approval.decided_at,
        reason=approval.reason,
    )

"""What the cycle does at each step.

A killed node runs again from its top on resume, so each writes what makes it idempotent before it has an effect: agents'
answers are on record before a node ends, intents and orders have ids that depend only on the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from agents.answers import ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from graph.caution import silent
from graph.context import CycleContext
from graph.control.budgets import orders_left
from graph.proposals import IntentMaker, shown_to_execution, shown_to_risk
from graph.runs.told import ended_short, told_about
from graph.state import CycleState, SymbolTask
from graph.wanted import wanted
from trading_core.auth.permissions import Principal
from trading_core.domain.intents import ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Side
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import PortfolioSnapshotRecord

WATCHES, WATCH_SECONDS = 3, 1.0  # how often, and how far apart, the venue is asked about fresh orders


async def snapshot(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx, run_id = runtime.context, state["run_id"]
    for order in await ctx.desk.cancel_entries(ctx.runner, but_run=run_id):
        ctx.asker.tell("order_cancelled", run_id, order=order, why="was left working")
    view = await ctx.books.reconcile(run_id)
    tickers = await ctx.snapshots.tickers(view.portfolio, state["as_of"])
    risk = await ctx.desk.observe(ctx.runner, {symbol: ticker.last for symbol, ticker in tickers.items()}, view)
    if risk.trading_state is not view.risk.trading_state:
        ctx.asker.tell("state_changed", run_id, state=risk.trading_state.value, reason=risk.reason)
    snapshot = await _fixed(ctx, run_id)
    if snapshot is None:
        snapshot, content = await ctx.snapshots.take(state["as_of"], replace(view, risk=risk), tickers)
        async with ctx.database.transaction() as uow:
            await uow.snapshots.put(snapshot.content_hash, snapshot.as_of, content)
            await uow.runs.set_snapshot(run_id, snapshot.content_hash)
    paused = await ctx.paused()
    only = state.get("only", [])
    tradable = [symbol for symbol in ctx.snapshots.tradable(snapshot) if not only or symbol in only]
    symbols = [symbol for symbol in tradable if not (paused.everything or paused.symbol(symbol))]
    for pause in paused.of_cycle(tradable):
        ctx.asker.tell("paused", run_id, kind=pause.kind, subject=pause.subject, reason=pause.reason, by=pause.by)
    ctx.asker.tell("snapshot_taken", run_id, snapshot=snapshot, symbols=symbols)
    for symbol, why in silent(snapshot).items():
        ctx.asker.tell("channels_silent", run_id, symbol=symbol, why=why)
    for symbol, why in snapshot.doubts.items():
        ctx.asker.tell("price_doubted", run_id, symbol=symbol, why=why)
    return {
        "snapshot_hash": snapshot.content_hash,
        "symbols": symbols,
        # Holdings are weighed against each other: not by a run that is to look at some of them only.
        "rebalance": not only and await _rebalancing_due(ctx, snapshot, run_id),
    }


async def _fixed(ctx: CycleContext, run_id: str) -> Snapshot | None:
    """What the run decides on, when it was killed after that was written down and before this step was over.

    The account may have moved since, by orders of other runs: a second snapshot would be another one.
    """
    async with ctx.database.reading() as uow:
        record = await uow.runs.get(run_id)
    return await ctx.kept_snapshot(record.snapshot_hash) if record is not None and record.snapshot_hash else None


async def _rebalancing_due(ctx: CycleContext, snapshot: Snapshot, run_id: str) -> bool:
    weights = [snapshot.weight(symbol) for symbol in snapshot.portfolio.held() if symbol in snapshot.symbols]
    weights = [weight for weight in weights if weight >= Decimal("0.01")]
    if len(weights) < 2:
        return False
    fair = sum(weights, ZERO) / len(weights)
    if max(abs(weight - fair) for weight in weights) >= ctx.rebalance.drift:
        return True
    if not ctx.rebalance.every:
        return False
    async with ctx.database.reading() as uow:
        return await uow.runs.count_before(run_id) % ctx.rebalance.every == 0


def fan_out(state: CycleState) -> list[Send] | str:
    if not state["symbols"]:
        return "record"
    tasks = [
        Send(
            "market_analysis", SymbolTask(run_id=state["run_id"], snapshot_hash=state["snapshot_hash"], symbol=symbol, view=None)
        )
        for symbol in state["symbols"]
    ]
    return [*tasks, Send("rebalancing", state)]


async def market_analysis(task: SymbolTask, runtime: Runtime[CycleContext]) -> CycleState:
    ctx = runtime.context
    decided = await ctx.asker.ask("market_analysis", task["symbol"], task["run_id"], await ctx.snapshot(task))
    # A view that its evidence does not support may still inform; the signal agent is told to check it.
    view = decided.answer
    return {"views": {task["symbol"]: view}} if isinstance(view, MarketView) and not view.abstained else {}


def to_signals(state: CycleState) -> list[Send]:
    views = state.get("views", {})
    return [
        Send(
            "signal",
            SymbolTask(run_id=state["run_id"], snapshot_hash=state["snapshot_hash"], symbol=symbol, view=views.get(symbol)),
        )
        for symbol in state["symbols"]
    ]


async def signal(task: SymbolTask, runtime: Runtime[CycleContext]) -> CycleState:
    ctx, symbol, view = runtime.context, task["symbol"], task["view"]
    if view is None:
        return {}  # nothing to stand on: no view, no signal, no call
    upstream = {f"market_analysis:{symbol}": {"symbol": symbol, **view.model_dump(mode="json")}}
    decided = await ctx.asker.ask("signal", symbol, task["run_id"], await ctx.snapshot(task), upstream)
    if isinstance(decided.answer, Signal) and decided.may_trade:
        return {"signals": {symbol: decided.answer}}
    return {}


async def rebalancing(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    if not state["rebalance"]:
        return {"rebalancing": None}
    ctx = runtime.context
    decided = await ctx.asker.ask("rebalancing", "", state["run_id"], await ctx.snapshot(state))
    plan = decided.answer if isinstance(decided.answer, RebalancePlan) and decided.may_trade else None
    return {"rebalancing": plan}


async def risk(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx = runtime.context
    snapshot = await ctx.snapshot(state)
    shown = shown_to_risk(snapshot, state.get("signals", {}), state.get("rebalancing"))
    if not shown["signals"] and not shown["rebalancing"]:
        return {"sizes": {}}
    decided = await ctx.asker.ask("risk", "", state["run_id"], snapshot, {"proposals": shown})
    plan = decided.answer
    if not isinstance(plan, RiskPlan) or not decided.may_trade:
        return {"sizes": {}}
    return {"sizes": {verdict.symbol: verdict for verdict in plan.verdicts}}


async def gate(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    """Not an agent: makes exact intents of what was proposed and sized, and asks the core about each."""
    ctx = runtime.context
    snapshot = await ctx.snapshot(state)
    ctx.tell_correlations(snapshot)
    intents: list[TradeIntent] = []
    verdicts: dict[str, Verdict] = {}
    paused = await ctx.paused()
    async with ctx.database.reading() as uow:
        known = await told_about(uow, state["run_id"], "gate_decided")  # by this step, before it was cut off
    for intent, principal in _wanted(state, ctx, snapshot):
        if paused.bars(intent.symbol, intent.side):
            continue
        if intent.side is Side.BUY:
            proposed, decision = await ctx.desk.propose_fitting(principal, intent)
        else:
            proposed, decision = intent, await ctx.desk.propose(principal, intent)
        intents.append(proposed)
        verdicts[proposed.intent_id] = decision.verdict
        if proposed.intent_id not in known:
            ctx.asker.tell("gate_decided", state["run_id"], intent=proposed, wanted=intent.quantity, decision=decision)
    return {"intents": intents, "verdicts": verdicts}


def _wanted(state: CycleState, ctx: CycleContext, snapshot: Snapshot) -> list[tuple[TradeIntent, Principal]]:
    return wanted(
        IntentMaker(state["run_id"], ctx.desk.account_id, snapshot, ctx.strategy),
        snapshot,
        ctx.desk.limits,
        signals=state.get("signals", {}),
        sizes=state.get("sizes", {}),
        plan=state.get("rebalancing"),
        risk=ctx.principals["risk"],
        rebalancing=ctx.principals["rebalancing"],
    )


async def approval(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    """Waits for an operator where the gate asks for one. The core, not this interrupt, is what enforces the answer."""
    ctx = runtime.context
    waiting = [intent for intent in state.get("intents", []) if state["verdicts"][intent.intent_id] is Verdict.NEEDS_APPROVAL]
    verdicts = dict(state["verdicts"])
    if not waiting:
        return {}
    async with ctx.database.reading() as uow:
        approvals = {intent.intent_id: await uow.approvals.get(intent.intent_id) for intent in waiting}
    pending = [key for key, approval in approvals.items() if approval is None or approval.state is ApprovalState.PENDING]
    if pending:
        interrupt({"intents": pending})
    async with ctx.database.reading() as uow:
        for intent in waiting:
            approval = await uow.approvals.get(intent.intent_id)
            said_yes = approval is not None and approval.state is ApprovalState.APPROVED
            verdicts[intent.intent_id] = Verdict.APPROVED if said_yes else Verdict.DENIED
    return {"verdicts": verdicts}


async def execution(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx, run_id = runtime.context, state["run_id"]
    approved = [intent for intent in state.get("intents", []) if state["verdicts"][intent.intent_id] is Verdict.APPROVED]
    if not approved:
        return {"orders": []}
    snapshot = await ctx.snapshot(state)
    ctx.tell_correlations(snapshot)
    facts = {"approved": shown_to_execution(snapshot, approved)}
    decided = await ctx.asker.ask("execution", "", run_id, snapshot, facts)
    plan = decided.answer if isinstance(decided.answer, ExecutionPlan) and decided.may_trade else None
    styles = {choice.symbol: choice.style for choice in plan.orders} if plan else {}
    sent: list[str] = []
    paused = await ctx.paused()  # perhaps since the gate was asked: an approval can take its time
    async with ctx.database.reading() as uow:
        left = await orders_left(uow, run_id, ctx.clock.now())
        out = {order.intent_id for order in await uow.orders.of_run(run_id)}  # by this step, before it was cut off
        known = await told_about(uow, run_id, "order_sent") if out else frozenset[str]()
    with ctx.books.following(run_id, *approved):
        for intent in approved:
            # Exits do not depend on the execution agent, on pauses or on what a schedule may send; entries are not sent without
            # its word, and not beyond those.
            style = "now" if intent.side is Side.SELL else styles.get(intent.symbol, "skip")
            barred = paused.bars(intent.symbol, intent.side) or (intent.side is Side.BUY and left == 0)
            if style == "skip" or (barred and intent.intent_id not in out):
                continue
            result = await ctx.desk.submit(ctx.principals["execution"], intent.intent_id, WorkingStyle(style))
            if isinstance(result, RiskDecision):
                ctx.asker.tell("order_denied", run_id, intent=intent, decision=result)
            else:
                sent.append(result.client_order_id)
                if left is not None and intent.intent_id not in out:  # those that are out were counted already
                    left = max(left - 1, 0)
                if result.client_order_id not in known:
                    ctx.asker.tell("order_sent", run_id, order=result)
        await _watch(ctx, run_id, sent)
    return {"orders": sent}


async def _watch(ctx: CycleContext, run_id: str, sent: Sequence[str]) -> None:
    """Follow fresh orders for a moment, so that fills are booked, stops placed, and what found no counterpart is told at once."""
    for _ in range(WATCHES if sent else 0):
        await ctx.clock.sleep(WATCH_SECONDS)
        live = {order.client_order_id for order in (await ctx.books.sync(run_id)).live_orders}
        if not live & set(sent):
            break
    async with ctx.database.reading() as uow:
        ended = await ended_short(uow, run_id, sent)
    for order in ended:
        ctx.asker.tell("order_ended", run_id, order=order)


async def record(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx = runtime.context
    snapshot = await ctx.snapshot(state)
    portfolio = (await ctx.books.account()).portfolio
    positions = {
        symbol: {"quantity": plain(position.quantity), "price": plain(snapshot.prices[symbol])}
        for symbol, position in portfolio.held().items()
    }
    worth = PortfolioSnapshotRecord(
        account_id=ctx.desk.account_id,
        run_id=state["run_id"],
        at=snapshot.as_of,
        equity=portfolio.equity(snapshot.prices),
        cash=portfolio.cash,
        content={"positions": positions},
    )
    async with ctx.database.transaction() as uow:
        await uow.portfolios.record(worth)
    return {}

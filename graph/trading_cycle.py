"""The trading cycle: snapshot, two agents per symbol side by side, rebalancing, risk, gate, approval, execution, record.

A killed node runs again from its top on resume, so each writes what makes it idempotent before it has an effect: agents'
answers are on record before a node ends, intents and orders have ids that depend only on the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from agents.answers import ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from agents.spec import AgentName
from graph.asking import Asker
from graph.proposals import IntentMaker, shown_to_execution, shown_to_risk
from graph.snapshot import Snapshots
from graph.state import CycleState, SymbolTask
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.intents import ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Fill, Side
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.book import AccountView
from trading_core.execution.desk import Desk, Synced
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.quality import ExecutionQuality, measure
from trading_core.persistence.records import PortfolioSnapshotRecord
from trading_core.persistence.session import Database

WATCHES, WATCH_SECONDS = 3, 1.0  # how often, and how far apart, the venue is asked about fresh orders


@dataclass(frozen=True, slots=True)
class RebalancePolicy:
    """When the rebalancing agent is asked: on drift beyond equal weights among holdings, or each `every` runs."""

    drift: Decimal = Decimal("0.10")
    every: int = 0


@dataclass(frozen=True, slots=True)
class CycleContext:
    """What the nodes work with. It is never in a checkpoint: who resumes a run supplies it anew."""

    desk: Desk
    database: Database
    clock: Clock
    snapshots: Snapshots
    asker: Asker
    principals: dict[AgentName, Principal]
    runner: Principal
    rebalance: RebalancePolicy
    strategy: str = ""

    async def snapshot(self, state: CycleState | SymbolTask) -> Snapshot:
        """The run's snapshot, rebuilt from the record when this process did not take it."""
        content_hash = state["snapshot_hash"]
        known = self.snapshots.at_hand(content_hash)
        if known is not None:
            return known
        async with self.database.reading() as uow:
            kept = await uow.snapshots.get(content_hash)
        return await self.snapshots.restore(content_hash, kept.content if kept else None)

    def tell_correlations(self, snapshot: Snapshot) -> None:
        """Give the gate the correlations of this snapshot; without them every pair counts as one bet."""
        found = self.asker.computed(snapshot).correlations
        self.desk.inputs.correlations = {pair: Decimal(repr(value)) for pair, value in found.items()}


async def _snapshot(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx, run_id = runtime.context, state["run_id"]
    for order in await ctx.desk.cancel_entries(ctx.runner, but_run=run_id):
        ctx.asker.tell("order_cancelled", run_id, order=order, why="was left working")
    view = await _reconcile(ctx, run_id)
    tickers = await ctx.snapshots.tickers(view.portfolio, state["as_of"])
    risk = await ctx.desk.observe(ctx.runner, {symbol: ticker.last for symbol, ticker in tickers.items()}, view)
    if risk.trading_state is not view.risk.trading_state:
        ctx.asker.tell("state_changed", run_id, state=risk.trading_state.value, reason=risk.reason)
    snapshot, content = await ctx.snapshots.take(state["as_of"], replace(view, risk=risk), tickers)
    async with ctx.database.transaction() as uow:
        await uow.snapshots.put(snapshot.content_hash, snapshot.as_of, content)
        await uow.runs.set_snapshot(run_id, snapshot.content_hash)
    symbols = ctx.snapshots.tradable(snapshot)
    ctx.asker.tell("snapshot_taken", run_id, snapshot=snapshot, symbols=symbols)
    return {
        "snapshot_hash": snapshot.content_hash,
        "symbols": symbols,
        "rebalance": await _rebalancing_due(ctx, snapshot, run_id),
    }


async def _reconcile(ctx: CycleContext, run_id: str) -> AccountView:
    """Book what the venue did, and tell what still differs.

    Raises:
        LedgerError: the venue tells of something that the ledger cannot hold: trading must stop.
    """
    found, synced = await ctx.desk.reconcile(ctx.runner)
    for each in synced:
        await _tell(ctx, run_id, each)
    if found.error is not None:
        raise found.error
    if not found.agrees:
        ctx.asker.tell("venue_differs", run_id, differs=found.disagreement)
    return synced[-1].view


async def _sync(ctx: CycleContext, run_id: str) -> AccountView:
    """Book what the venue did, and tell of it."""
    synced = await ctx.desk.sync(ctx.runner)
    await _tell(ctx, run_id, synced)
    return synced.view


async def _tell(ctx: CycleContext, run_id: str, synced: Synced) -> None:
    """Tell of the fills, and of the core's own orders and cancels that followed."""
    for fill in synced.fills:
        ctx.asker.tell("fill_booked", run_id, fill=fill)
    for quality in await _alarming(ctx, synced.fills):
        ctx.asker.tell("slippage_alert", run_id, quality=quality)
    for order in synced.withdrawn:
        ctx.asker.tell("order_cancelled", run_id, order=order, why="is taken back by the kill switch")
    for order in synced.placed:
        ctx.asker.tell("order_sent", run_id, order=order)


async def _alarming(ctx: CycleContext, fills: Sequence[Fill]) -> list[ExecutionQuality]:
    """Orders of fresh fills that have lost more to slippage than is usual."""
    if not fills:
        return []
    async with ctx.database.reading() as uow:
        orders = [await uow.orders.get(key) for key in dict.fromkeys(fill.client_order_id for fill in fills)]
        measured = [measure(order, await uow.fills.of_order(order.client_order_id)) for order in orders if order is not None]
    return [quality for quality in measured if quality.is_alarming]


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


def _fan_out(state: CycleState) -> list[Send] | str:
    if not state["symbols"]:
        return "record"
    tasks = [
        Send(
            "market_analysis", SymbolTask(run_id=state["run_id"], snapshot_hash=state["snapshot_hash"], symbol=symbol, view=None)
        )
        for symbol in state["symbols"]
    ]
    return [*tasks, Send("rebalancing", state)]


async def _market_analysis(task: SymbolTask, runtime: Runtime[CycleContext]) -> CycleState:
    ctx = runtime.context
    decided = await ctx.asker.ask("market_analysis", task["symbol"], task["run_id"], await ctx.snapshot(task))
    # A view that its evidence does not support may still inform; the signal agent is told to check it.
    view = decided.answer
    return {"views": {task["symbol"]: view}} if isinstance(view, MarketView) and not view.abstained else {}


def _to_signals(state: CycleState) -> list[Send]:
    views = state.get("views", {})
    return [
        Send(
            "signal",
            SymbolTask(run_id=state["run_id"], snapshot_hash=state["snapshot_hash"], symbol=symbol, view=views.get(symbol)),
        )
        for symbol in state["symbols"]
    ]


async def _signal(task: SymbolTask, runtime: Runtime[CycleContext]) -> CycleState:
    ctx, symbol, view = runtime.context, task["symbol"], task["view"]
    if view is None:
        return {}  # nothing to stand on: no view, no signal, no call
    upstream = {f"market_analysis:{symbol}": {"symbol": symbol, **view.model_dump(mode="json")}}
    decided = await ctx.asker.ask("signal", symbol, task["run_id"], await ctx.snapshot(task), upstream)
    if isinstance(decided.answer, Signal) and decided.may_trade:
        return {"signals": {symbol: decided.answer}}
    return {}


async def _rebalancing(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    if not state["rebalance"]:
        return {"rebalancing": None}
    ctx = runtime.context
    decided = await ctx.asker.ask("rebalancing", "", state["run_id"], await ctx.snapshot(state))
    plan = decided.answer if isinstance(decided.answer, RebalancePlan) and decided.may_trade else None
    return {"rebalancing": plan}


async def _risk(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
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


async def _gate(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    """Not an agent: makes exact intents of what was proposed and sized, and asks the core about each."""
    ctx = runtime.context
    snapshot = await ctx.snapshot(state)
    ctx.tell_correlations(snapshot)
    intents: list[TradeIntent] = []
    verdicts: dict[str, Verdict] = {}
    for intent, principal in _wanted(state, ctx, snapshot):
        if intent.side is Side.BUY:
            proposed, decision = await ctx.desk.propose_fitting(principal, intent)
        else:
            proposed, decision = intent, await ctx.desk.propose(principal, intent)
        intents.append(proposed)
        verdicts[proposed.intent_id] = decision.verdict
        ctx.asker.tell("gate_decided", state["run_id"], intent=proposed, wanted=intent.quantity, decision=decision)
    return {"intents": intents, "verdicts": verdicts}


def _wanted(state: CycleState, ctx: CycleContext, snapshot: Snapshot) -> list[tuple[TradeIntent, Principal]]:
    """Exits first, then entries by conviction, then rebalancing of symbols that have neither."""
    signals, sizes = state.get("signals", {}), state.get("sizes", {})
    maker = IntentMaker(state["run_id"], ctx.desk.account_id, snapshot, ctx.strategy)
    risk = ctx.principals["risk"]
    found: list[tuple[TradeIntent | None, Principal]] = []
    ranked = sorted(signals.items(), key=lambda item: (item[1].action != "exit", -item[1].conviction, item[0]))
    for symbol, signal in ranked:
        verdict = sizes.get(symbol)
        # Without the risk agent's word an exit goes on and an entry does not.
        if signal.action == "exit" and (verdict is None or verdict.verdict == "take"):
            found.append((maker.exit(symbol, signal, risk.name), risk))
        elif signal.action == "enter" and verdict is not None and verdict.verdict == "take" and not _held(snapshot, symbol):
            limit = ctx.desk.limits.risk_per_trade
            found.append((maker.entry(symbol, signal, verdict, limit, risk.name), risk))
    plan, rebalancing = state.get("rebalancing"), ctx.principals["rebalancing"]
    acting = {symbol for symbol, signal in signals.items() if signal.action in ("enter", "exit")}
    for target in plan.targets if plan else []:
        verdict = sizes.get(target.symbol)
        if target.symbol in snapshot.tickers and target.symbol not in acting and verdict and verdict.verdict == "take":
            found.append(
                (maker.rebalance(target.symbol, target.weight, rebalancing.name, plan.reason if plan else ""), rebalancing)
            )
    return [(intent, principal) for intent, principal in found if intent is not None]


def _held(snapshot: Snapshot, symbol: str) -> bool:
    """One position per symbol: an entry on top of a holding would change what its stop was made for."""
    position = snapshot.portfolio.position(symbol)
    return not snapshot.instruments[symbol].is_dust(position.quantity, snapshot.tickers[symbol].last)


async def _approval(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
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


async def _execution(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
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
    for intent in approved:
        # Exits do not depend on the execution agent; entries are not sent without its word.
        style = "now" if intent.side is Side.SELL else styles.get(intent.symbol, "skip")
        if style == "skip":
            continue
        result = await ctx.desk.submit(ctx.principals["execution"], intent.intent_id, WorkingStyle(style))
        if isinstance(result, RiskDecision):
            ctx.asker.tell("order_denied", run_id, intent=intent, decision=result)
        else:
            sent.append(result.client_order_id)
            ctx.asker.tell("order_sent", run_id, order=result)
    await _watch(ctx, run_id, sent)
    return {"orders": sent}


async def _watch(ctx: CycleContext, run_id: str, sent: Sequence[str]) -> None:
    """Follow fresh orders for a moment, so that fills are booked and stops placed at once."""
    for _ in range(WATCHES if sent else 0):
        await ctx.clock.sleep(WATCH_SECONDS)
        live = {order.client_order_id for order in (await _sync(ctx, run_id)).live_orders}
        if not live & set(sent):
            break


async def _record(state: CycleState, runtime: Runtime[CycleContext]) -> CycleState:
    ctx = runtime.context
    snapshot = await ctx.snapshot(state)
    portfolio = (await ctx.desk.account(ctx.runner)).portfolio
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


def build(checkpointer: Any = None) -> CompiledStateGraph[CycleState, CycleContext, CycleState, CycleState]:
    """The compiled cycle."""
    graph = StateGraph(CycleState, context_schema=CycleContext)
    nodes: dict[str, Callable[..., Any]] = {
        "snapshot": _snapshot,
        "market_analysis": _market_analysis,
        "signal": _signal,
        "rebalancing": _rebalancing,
        "risk": _risk,
        "gate": _gate,
        "approval": _approval,
        "execution": _execution,
        "record": _record,
    }
    for name, node in nodes.items():
        graph.add_node(name, cast(Any, node))
    graph.add_edge(START, "snapshot")
    graph.add_conditional_edges("snapshot", _fan_out, ["market_analysis", "rebalancing", "record"])
    graph.add_node("views", _join)
    graph.add_edge("market_analysis", "views")
    graph.add_conditional_edges("views", _to_signals, ["signal"])
    # A list edge waits for both; a plain one would let risk start as soon as rebalancing is done.
    graph.add_edge(["signal", "rebalancing"], "risk")
    graph.add_edge("risk", "gate")
    graph.add_edge("gate", "approval")
    graph.add_edge("approval", "execution")
    graph.add_edge("execution", "record")
    graph.add_edge("record", END)
    return graph.compile(checkpointer=checkpointer, name="trading_cycle")


async def _join(state: CycleState) -> CycleState:
    """Where the views of all symbols meet before the signals start."""
    del state
    return {}

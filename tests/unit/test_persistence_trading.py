"""Conformance of the trading ledger: intents, approvals, orders, fills, accounts, risk. The same on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event

from trading_core.domain.errors import ApprovalError, FillConflict, IllegalTransition, IntentConflict, LedgerError, RunError
from trading_core.domain.intents import Approval, ApprovalState, Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderRequest, OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.persistence.records import (
    DecisionRecord,
    EvidenceRecord,
    IntentTrail,
    OrderEventRecord,
    OrderTrail,
    Outcome,
    PortfolioSnapshotRecord,
    RiskStateChange,
    RunKind,
    RunRecord,
    RunTrail,
    SnapshotRecord,
)
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RUN = RunRecord("r1", "paper", RunKind.CYCLE, AT, AT)
EMPTY = Portfolio.opened("paper", "USDT", Decimal("1000.10"))
INTENT = TradeIntent(
    intent_id="i1",
    run_id="r1",
    account_id="paper",
    proposer="agent:signal",
    purpose=Purpose.ENTRY,
    symbol="BTC/USDT",
    side=Side.BUY,
    quantity=Decimal("1E-18"),
    type=OrderType.STOP_LIMIT,
    created_at=AT,
    limit_price=Decimal("0.10"),
    stop_price=Decimal("0.09"),
    worst_price=Decimal("1E+5"),
    time_in_force=TimeInForce.IOC,
    reason="breakout",
    evidence=("e1",),
)
ALLOWED = RiskDecision("i1", Verdict.APPROVED, (Check("notional", True, "10", "100"), Check("state", True, "a", "b", "c")), AT)
ASKED = Approval("i1", INTENT.content_hash, Decimal("0.10"), AT, AT + 60 * SECOND)
ORDER = Order(
    request=OrderRequest(
        "at1", "BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal("2.0"), Decimal("0.10"), None, TimeInForce.POST_ONLY
    ),
    account_id="paper",
    intent_id="i1",
    run_id="r1",
    purpose=Purpose.ENTRY,
    created_at=AT,
    arrival_price=Decimal("0.099"),
)
FILL = Fill("t1", "at1", "BTC/USDT", Side.BUY, Decimal("0.5"), Decimal("0.10"), Money(Decimal("1E-18"), "BTC"), AT + SECOND, True)


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(EMPTY, "paper", AT)
            await uow.runs.start(RUN)
        yield database


async def test_an_intent_is_written_once(database: Database) -> None:
    async with database.transaction() as uow:
        assert await uow.intents.add(INTENT)
        assert not await uow.intents.add(replace(INTENT, reason="told anew"))
        with pytest.raises(IntentConflict, match="'i1'"):
            await uow.intents.add(replace(INTENT, quantity=Decimal(2)))
    async with database.reading() as uow:
        assert await uow.intents.get("i1") == INTENT
        assert await uow.intents.of_run("r1") == (INTENT,)
        assert await uow.intents.get("other") is None


async def test_every_answer_of_the_gate_is_kept_in_order(database: Database) -> None:
    denied = replace(ALLOWED, verdict=Verdict.DENIED, checks=())
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.intents.add(replace(INTENT, intent_id="i2"))
        await uow.intents.add_decision(ALLOWED)
        await uow.intents.add_decision(replace(ALLOWED, intent_id="i2"))
        await uow.intents.add_decision(denied)
        assert await uow.intents.decisions_of("i1") == (ALLOWED, denied)
    with pytest.raises(LedgerError, match=r"(?i)foreign key"):
        async with database.transaction() as uow:
            await uow.intents.add_decision(replace(ALLOWED, intent_id="nothing"))


async def test_an_approval_is_answered_once(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        assert await uow.approvals.request(ASKED)
        assert not await uow.approvals.request(replace(ASKED, requested_at=AT + SECOND))
        assert await uow.approvals.pending() == await uow.approvals.pending("paper") == (ASKED,)
        assert await uow.approvals.pending("other") == ()
        yes = await uow.approvals.decide("i1", ApprovalState.APPROVED, by="ann", at=AT + SECOND, reason="fine")
        approved = replace(ASKED, state=ApprovalState.APPROVED, decided_by="ann", decided_at=AT + SECOND, reason="fine")
        assert yes == approved
        with pytest.raises(ApprovalError, match="already approved"):
            await uow.approvals.decide("i1", ApprovalState.REJECTED, by="bob", at=AT)
        assert await uow.approvals.get("i1") == approved
        assert await uow.approvals.pending() == ()


async def test_an_approval_is_bound_to_what_was_asked(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.approvals.request(ASKED)
        with pytest.raises(ApprovalError, match="bound to another content"):
            await uow.approvals.request(replace(ASKED, content_hash="other"))
        with pytest.raises(ApprovalError, match="no approval was asked"):
            await uow.approvals.decide("i2", ApprovalState.APPROVED, by="ann", at=AT)


async def test_an_order_and_its_steps_come_back_as_written(database: Database) -> None:
    opened = ORDER.on(OrderEvent.ACCEPTED, at=AT + SECOND, venue_order_id="v9")
    partly = opened.on_fill(FILL)
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.orders.add(ORDER)
        assert await uow.orders.get("at1") == ORDER
        await uow.orders.update(ORDER, opened, OrderEvent.ACCEPTED, "by the venue")
        await uow.orders.update(opened, partly, OrderEvent.PARTLY_FILLED)
    async with database.reading() as uow:
        assert await uow.orders.get("at1") == partly
        assert await uow.orders.get("at2") is None
        assert await uow.orders.of_run("r1") == await uow.orders.of_intent("i1") == await uow.orders.all("paper") == (partly,)
        assert await uow.orders.events("at1") == (
            OrderEventRecord("at1", 1, OrderEvent.ACCEPTED, OrderState.OPEN, AT + SECOND, "by the venue"),
            OrderEventRecord("at1", 2, OrderEvent.PARTLY_FILLED, OrderState.PARTIALLY_FILLED, FILL.at),
        )


async def test_a_client_order_id_is_used_once(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.orders.add(ORDER)
        with pytest.raises(LedgerError, match="must not be sent again"):
            await uow.orders.add(ORDER)


async def test_an_order_read_before_it_moved_cannot_overwrite_it(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.orders.add(ORDER)
        filled = ORDER.on_fill(FILL)
        await uow.orders.update(ORDER, filled, OrderEvent.PARTLY_FILLED)
        with pytest.raises(LedgerError, match="is not on record as submitting with 0 filled"):
            await uow.orders.update(ORDER, ORDER.on(OrderEvent.ACCEPTED, at=AT), OrderEvent.ACCEPTED)
        with pytest.raises(IllegalTransition):
            await uow.orders.update(filled, ORDER.on(OrderEvent.REFUSED, at=AT), OrderEvent.REFUSED)
        with pytest.raises(LedgerError, match="leads to partially_filled with 0"):
            await uow.orders.update(filled, replace(filled, filled=Decimal(0)), OrderEvent.ACCEPTED)
        other = replace(filled, request=replace(ORDER.request, client_order_id="at2"))
        with pytest.raises(LedgerError, match="'at2' is not on record"):
            await uow.orders.update(other, other, OrderEvent.ACCEPTED)
        assert await uow.orders.get("at1") == filled
        assert len(await uow.orders.events("at1")) == 1


async def test_live_orders_are_those_that_may_still_trade(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.portfolios.open_account(replace(EMPTY, account_id="other"), "paper", AT)
        await uow.intents.add(INTENT)
        for number, state in enumerate(OrderState):
            request = replace(ORDER.request, client_order_id=f"at{number}")
            await uow.orders.add(replace(ORDER, request=request, state=state, created_at=AT + number * SECOND))
        await uow.orders.add(replace(ORDER, request=replace(ORDER.request, client_order_id="x"), account_id="other"))
        live = await uow.orders.live("paper")
        assert {order.state for order in live} == {state for state in OrderState if not state.is_final}
        assert all(order.is_live for order in live)
        assert [order.client_order_id for order in await uow.orders.recent("paper", AT + 6 * SECOND)] == ["at6", "at7"]
        assert len(await uow.orders.all("paper")) == len(OrderState)


async def test_a_fill_is_booked_once(database: Database) -> None:
    earlier = replace(FILL, trade_id="t0", at=AT)
    async with database.transaction() as uow:
        await uow.intents.add(INTENT)
        await uow.orders.add(ORDER)
        assert await uow.fills.last_at("paper") is None
        assert await uow.fills.add("paper", FILL)
        assert await uow.fills.add("paper", earlier)
        assert not await uow.fills.add("paper", replace(FILL, quantity=Decimal("0.50")))  # the same number
        for other in (replace(FILL, price=Decimal("0.11")), replace(FILL, fee=Money(FILL.fee.amount, "USDT"))):
            with pytest.raises(FillConflict, match="'t1'"):
                await uow.fills.add("paper", other)
        assert await uow.fills.of_account("paper") == await uow.fills.of_order("at1") == (FILL, earlier)
        assert await uow.fills.last_at("paper") == FILL.at
        assert await uow.fills.of_account("other") == ()


async def test_one_trade_id_may_exist_in_two_accounts(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.portfolios.open_account(replace(EMPTY, account_id="other"), "elsewhere", AT)
        await uow.intents.add(INTENT)
        await uow.orders.add(ORDER)
        assert await uow.fills.add("paper", FILL)
        assert await uow.fills.add("other", FILL)


async def test_a_portfolio_comes_back_as_saved(database: Database) -> None:
    full = replace(
        EMPTY,
        balances={"USDT": Decimal("-1E-18"), "BTC": Decimal("0.10"), "BNB": Decimal(0)},
        positions={"BTC/USDT": Position("BTC/USDT", Decimal("0.1"), Decimal("1E-18"), Decimal("-3.5"))},
        fees={"BNB": Decimal("0.001")},
    )
    async with database.transaction() as uow:
        assert await uow.portfolios.load("paper") == EMPTY
        await uow.portfolios.save(full)
        assert await uow.portfolios.load("paper") == full
        assert not await uow.portfolios.open_account(EMPTY, "paper", AT + SECOND)
        assert await uow.portfolios.load("paper") == full
        sold = replace(full, positions={"BTC/USDT": Position("BTC/USDT")}, balances={**full.balances, "BTC": Decimal(0)})
        await uow.portfolios.save(sold)
        assert await uow.portfolios.load("paper") == sold


async def test_an_account_never_changes_its_deposit_currency_or_venue(database: Database) -> None:
    richer = replace(EMPTY, deposited=Decimal(2000))
    async with database.transaction() as uow:
        for portfolio, venue in ((richer, "paper"), (replace(EMPTY, currency="EUR"), "paper"), (EMPTY, "kraken")):
            with pytest.raises(LedgerError, match="is open at 'paper'"):
                await uow.portfolios.open_account(portfolio, venue, AT)
        with pytest.raises(LedgerError, match=r"was opened with 1000\.1 USDT"):
            await uow.portfolios.save(richer)
        with pytest.raises(LedgerError, match="'nobody' is not on record"):
            await uow.portfolios.load("nobody")


async def test_the_curve_is_told_oldest_first(database: Database) -> None:
    late = PortfolioSnapshotRecord("paper", "r1", AT + SECOND, Decimal("1E-18"), Decimal("0.10"), {"held": []})
    early = replace(late, run_id="r2", at=AT)
    async with database.transaction() as uow:
        await uow.runs.start(replace(RUN, id="r2"))
        await uow.portfolios.record(replace(late, equity=Decimal(0)))
        await uow.portfolios.record(late)
        await uow.portfolios.record(early)
        assert await uow.portfolios.curve("paper") == (early, late)


async def test_the_risk_state_and_its_history_come_back(database: Database) -> None:
    halt = RiskStateChange("paper", "active", "halted", "ann", "drawdown", AT)
    async with database.transaction() as uow:
        assert await uow.risk.load("paper") is None
        await uow.risk.save("paper", {"peak": "1000.10"}, AT)
        await uow.risk.save("paper", {"peak": "1000.20", "losses": [1]}, AT + SECOND)
        await uow.risk.change(halt)
        await uow.risk.change(replace(halt, from_state="halted", to_state="active"))
        assert await uow.risk.load("paper") == {"peak": "1000.20", "losses": [1]}
        assert [change.to_state for change in await uow.risk.changes("paper")] == ["halted", "active"]
        assert (await uow.risk.changes("paper"))[0] == halt


async def write_run(database: Database, run_id: str) -> RunTrail:
    """One run with something in every table, under ids of its own."""
    run = replace(RUN, id=run_id, snapshot_hash=f"hash-{run_id}")
    snapshot = SnapshotRecord(f"hash-{run_id}", AT, {"of": run_id})
    decision = DecisionRecord(run_id, "signal", "BTC/USDT", Outcome.ANSWERED, AT, answer={"action": "buy"})
    evidence = EvidenceRecord(run_id, "e1", "signal", "BTC/USDT", "bars", {}, {"close": "1"}, AT)
    intent = replace(INTENT, intent_id=f"i-{run_id}", run_id=run_id)
    allowed, asked = replace(ALLOWED, intent_id=intent.intent_id), replace(ASKED, intent_id=intent.intent_id)
    request = replace(ORDER.request, client_order_id=f"at-{run_id}")
    order = replace(ORDER, request=request, intent_id=intent.intent_id, run_id=run_id)
    fill = replace(FILL, trade_id=f"t-{run_id}", client_order_id=order.client_order_id)
    partly = order.on_fill(fill)
    worth = PortfolioSnapshotRecord("paper", run_id, AT, Decimal(5), Decimal(4))
    async with database.transaction() as uow:
        await uow.snapshots.put(snapshot.hash, snapshot.as_of, snapshot.content)
        await uow.runs.start(run)
        await uow.decisions.put(decision)
        await uow.evidence.put_many([evidence])
        await uow.intents.add(intent)
        await uow.intents.add_decision(allowed)
        await uow.approvals.request(asked)
        await uow.orders.add(order)
        await uow.fills.add("paper", fill)
        await uow.orders.update(order, partly, OrderEvent.PARTLY_FILLED)
        await uow.portfolios.record(worth)
    step = OrderEventRecord(order.client_order_id, 1, OrderEvent.PARTLY_FILLED, partly.state, fill.at)
    return RunTrail(
        run,
        snapshot,
        (decision,),
        (evidence,),
        (IntentTrail(intent, (allowed,), asked),),
        (OrderTrail(partly, (step,), (fill,)),),
        worth,
    )


async def test_a_run_is_read_back_whole_and_alone(database: Database) -> None:
    expected = [await write_run(database, run_id) for run_id in ("a", "b", "c")]
    async with database.reading() as uow:
        assert [await uow.runs.whole(run_id) for run_id in ("a", "b", "c")] == expected
        assert await uow.runs.whole("r1") == RunTrail(RUN, None, (), (), (), (), None)
        with pytest.raises(RunError, match="'nothing' is not on record"):
            await uow.runs.whole("nothing")


async def test_frequent_reads_never_scan_a_table(database: Database) -> None:
    await write_run(database, "a")
    engine = database._engine
    seen: list[tuple[str, tuple[object, ...]]] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(
        _c: object, _cursor: object, statement: str, parameters: tuple[object, ...], _context: object, _many: object
    ) -> None:
        seen.append((statement, parameters))

    async with database.reading() as uow:
        await uow.runs.whole("a")
        await uow.runs.last("s1")
        await uow.orders.live("paper")
        await uow.orders.recent("paper", AT)
        await uow.fills.of_account("paper")
        await uow.fills.last_at("paper")
        await uow.decisions.of_input("i")
        await uow.portfolios.load("paper")
        await uow.approvals.pending("paper")
    selects = [(statement, parameters) for statement, parameters in seen if statement.startswith("SELECT")]
    assert len(selects) >= 18
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # small tables are read whole, indexed or not
        for statement, parameters in selects:
            explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            plan = [str(row) for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters)]
            assert plan
            assert not [step for step in plan if "Seq Scan" in step or "'SCAN" in step], (statement, plan)

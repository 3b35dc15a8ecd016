"""The trading cycle end to end with the rules model: what it decides, records, and does again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.grounding import problems
from graph.conversation.facts import look
from graph.events import RunEvent
from graph.report import export, report
from graph.session import trade
from graph.trading_cycle import build
from tests.integration.worlds import ENTRY, HOUR, SYMBOLS, config, entry_feed, opened, trail, trails
from tools.context import Evidence
from trading_core.auth.permissions import operator
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import BrokerUnavailable, RunError, UnknownSymbol
from trading_core.domain.intents import Verdict
from trading_core.domain.market import Ticker
from trading_core.domain.orders import OrderState, Purpose
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk
from trading_core.persistence.records import RunState


async def test_a_session_buys_protects_and_is_stopped_out(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        results = [result async for result in trade(system)]
        told = await report(system)
        entry = await trail(system, system.runner.run_id(ENTRY))
    assert [result.state for result in results] == [RunState.DONE] * 4
    bought = next(order.order for order in entry.orders if order.order.purpose is Purpose.ENTRY)
    stop = next(order for order in entry.orders if order.order.purpose is Purpose.STOP)
    assert bought.symbol == "SOL/USDT"
    assert bought.state is OrderState.FILLED
    held = bought.filled - sum(fill.fee.amount for order in entry.orders[:1] for fill in order.fills)
    assert stop.order.request.quantity <= held, "the stop covers what is held after the fee, and no more"
    assert stop.order.state is OrderState.FILLED, "the market fell through it two hours later"
    assert told.balances_agree
    assert told.fills == 2
    kinds = {event.kind for event in events}
    assert {"run_started", "snapshot_taken", "agent_answered", "gate_decided", "order_sent", "fill_booked", "run_done"} <= kinds


async def test_a_run_is_read_back_whole_and_every_number_in_it_stands_on_evidence(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        async for _ in trade(system):
            pass
        kept = await trail(system, system.runner.run_id(ENTRY))
    assert kept.snapshot is not None
    assert {decision.agent for decision in kept.decisions} == {"market_analysis", "signal", "risk", "execution"}
    evidence = {item.id: Evidence(item.id, item.tool, item.arguments, dict(item.result)) for item in kept.evidence}
    for decision in kept.decisions:
        assert decision.answer is not None
        assert decision.grounded, decision.problems
        assert set(decision.evidence) <= set(evidence)
        assert problems([str(decision.answer["reason"])], evidence) == []
    decided = kept.intents[0].decisions[0]
    assert decided.verdict is Verdict.APPROVED
    assert len(decided.checks) > 20, "the gate lists every check it made, not only those that failed"


async def test_the_same_session_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    told = []
    for home in ("one", "two"):
        async with opened(tmp_path / home) as system:
            async for _ in trade(system):
                pass
            told.append(json.dumps(await export(system), sort_keys=True))
    assert told[0] == told[1]


async def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        first = await system.runner.run(ENTRY)
        heard = len(events)
        assert await system.runner.run(ENTRY) == first
        assert await system.runner.resume(first.run_id) == first
    assert len(events) == heard


async def test_a_run_cut_off_within_its_first_step_decides_on_what_it_first_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its snapshot was written down and before the checkpoint: by then other runs may have moved the account."""

    def cut_off(*_: object) -> None:
        raise ConnectionAbortedError

    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        with monkeypatch.context() as patched:
            patched.setattr(system.snapshots, "tradable", cut_off)
            with pytest.raises(ConnectionAbortedError):
                await system.runner.run(ENTRY)
        run_id, account = system.runner.run_id(ENTRY), system.desk.account_id
        seen = (await trail(system, run_id)).run.snapshot_hash
        await Control(account, system.database, system.clock).halt(operator("olga", account), "for the test")
        assert (await system.runner.resume(run_id)).state is RunState.DONE
        kept = await trail(system, run_id)
    assert seen
    assert kept.run.snapshot_hash == seen
    assert [event.data["snapshot"].content_hash for event in events if event.kind == "snapshot_taken"] == [seen]
    assert not kept.orders, "the halt is obeyed: the gate looks at the account as it is"


async def test_an_unheld_market_without_enough_bars_is_left_alone(tmp_path: Path) -> None:
    """The generated market starts 301 bars before the session; ten bars in, there is nothing to look at."""
    early = config(start=ENTRY - 300 * HOUR, cycles=1)
    async with opened(tmp_path, early) as system:
        results = [result async for result in trade(system)]
        kept = await trail(system, results[0].run_id)
    assert results[0].state is RunState.DONE
    assert kept.decisions == ()
    assert kept.portfolio is not None


async def test_runs_wait_for_approval_and_go_on_after_it(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=2)
    async with opened(tmp_path, asking) as system:
        results = [result async for result in trade(system)]
        assert [result.state for result in results] == [RunState.WAITING], "the session stops where a person is needed"
        waiting = results[0]
        assert (await system.runner.resume(waiting.run_id)).state is RunState.WAITING, "resuming without an answer waits on"
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=True, reason="looks right")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        kept = await trail(system, waiting.run_id)
    assert [item.approval.decided_by for item in kept.intents if item.approval] == ["ana"]
    assert any(order.order.purpose is Purpose.ENTRY and order.order.filled for order in kept.orders)


async def test_a_rejected_intent_is_never_sent(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=1)
    async with opened(tmp_path, asking) as system:
        (waiting,) = [result async for result in trade(system)]
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=False, reason="no")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        kept = await trail(system, waiting.run_id)
    assert kept.orders == ()


async def test_a_waiting_run_survives_a_restart(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=1)
    async with opened(tmp_path, asking) as system:
        (waiting,) = [result async for result in trade(system)]
    async with opened(tmp_path, asking, at=ENTRY) as system:
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=True, reason="")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        assert len(await trails(system)) == 1
        assert (await report(system)).fills == 1


async def test_a_failed_run_that_is_taken_up_again_is_under_way_and_holds_what_it_reserves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> object:
        raise BrokerUnavailable("the venue does not answer", not_done="Nothing was sent")

    async with opened(tmp_path) as system:
        run_id, account = system.runner.run_id(ENTRY), system.desk.account_id

        async def standing() -> tuple[RunState | None, bool, int]:
            async with system.database.reading() as uow:
                record, waiting = await uow.runs.get(run_id), await uow.intents.waiting(account)
            return record and record.state, record is not None and record.ended_at is not None, len(waiting)

        seen = []
        real = system.desk.submit

        async def looked_at(*given: Any) -> object:
            seen.append(await standing())
            return await real(*given)

        with monkeypatch.context() as patched:
            patched.setattr(Desk, "submit", away)
            assert (await system.runner.run(ENTRY)).state is RunState.FAILED
        assert await standing() == (RunState.FAILED, True, 0)
        monkeypatch.setattr(Desk, "submit", staticmethod(looked_at))
        assert (await system.runner.resume(run_id)).state is RunState.DONE
        assert seen == [(RunState.RUNNING, False, 1)]
        assert await standing() == (RunState.DONE, True, 0)


@pytest.mark.parametrize("changes", [{"symbols": SYMBOLS[1:]}, {"timeframe": "4h"}], ids=["symbols", "bars"])
async def test_a_desk_that_was_started_otherwise_says_so_and_blames_no_market(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with opened(tmp_path / "before") as system:
        await system.runner.run(ENTRY)
        kept = (await trail(system, system.runner.run_id(ENTRY))).snapshot
    assert kept is not None
    async with opened(tmp_path / "after", config(**changes)) as other:
        with pytest.raises(RunError, match=r"begun by a desk of BTC/USDT, ETH/USDT, SOL/USDT on 1h bars.*Start a new run"):
            await other.snapshots.restore(kept.hash, kept.content)


async def test_a_run_goes_on_at_a_desk_that_looks_at_more_symbols_by_now(tmp_path: Path) -> None:
    async with opened(tmp_path / "before", config(symbols=SYMBOLS[1:])) as system:
        await system.runner.run(ENTRY)
        kept = (await trail(system, system.runner.run_id(ENTRY))).snapshot
    assert kept is not None
    async with opened(tmp_path / "after") as other:
        snapshot = await other.snapshots.restore(kept.hash, kept.content)
    assert (snapshot.symbols, snapshot.content_hash) == (SYMBOLS[1:], kept.hash)


async def test_a_holding_that_the_market_lists_no_more_stops_cycles_and_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, exchange=entry_feed()) as system:
        assert (await system.runner.run(ENTRY)).state is RunState.DONE
        listed = system.feed.ticker

        async def ticker(symbol: str, *, as_of: datetime) -> Ticker | None:
            if symbol == "SOL/USDT":
                raise UnknownSymbol("the market lists no 'SOL/USDT'")
            return await listed(symbol, as_of=as_of)

        monkeypatch.setattr(system.feed, "ticker", ticker)
        assert isinstance(system.clock, SimulatedClock)
        system.clock.advance_to(ENTRY + HOUR)
        result = await system.runner.run(ENTRY + HOUR)
        known = (await look(system)).snapshot
    assert result.state is RunState.FAILED
    assert "the market lists no 'SOL/USDT'" in result.error
    assert "Start the desk with every symbol that is held" in result.error
    assert "SOL/USDT" in known.portfolio.held(), "a question is answered, with what is held"
    assert "SOL/USDT" not in known.prices


async def test_a_first_price_far_from_the_bars_before_it_is_named_and_not_entered_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events, exchange=entry_feed()) as system:
        true = system.feed.ticker

        async def ticker(symbol: str, *, as_of: datetime) -> Ticker | None:
            told = await true(symbol, as_of=as_of)
            if told is None or symbol != "SOL/USDT":
                return told
            factor = Decimal("1.06")
            return replace(told, bid=told.bid * factor, ask=told.ask * factor, last=told.last * factor)

        monkeypatch.setattr(system.feed, "ticker", ticker)
        result = await system.runner.run(ENTRY)
        kept = await trail(system, result.run_id)
    assert (result.state, kept.intents, kept.orders) == (RunState.DONE, (), ())
    assert any(decision.answer and decision.answer.get("action") == "enter" for decision in kept.decisions), "it was wanted"
    (doubted,) = (event.data for event in events if event.kind == "price_doubted")
    assert doubted["symbol"] == "SOL/USDT"
    assert "off the last close" in str(doubted["why"])


def test_the_graph_prints_itself() -> None:
    drawn = build().get_graph().draw_mermaid()
    for node in ("snapshot", "market_analysis", "signal", "rebalancing", "risk", "gate", "approval", "execution", "record"):
        assert node in drawn

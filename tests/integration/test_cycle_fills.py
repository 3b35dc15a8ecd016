"""What became of a cycle's orders, as the cycle tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from api.chat.client import Event
from api.chat.steps import step_lines
from api.console.phrases import ended_line
from graph.events import RunEvent
from graph.runs.event_data import order_json
from tests.integration.worlds import ENTRY, opened
from trading_core.brokers.base import OrderReport
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.domain.market import Ticker
from trading_core.domain.orders import OrderRequest, OrderState
from trading_core.execution.desk import Desk
from trading_core.persistence.records import RunState


async def test_fills_that_others_read_of_the_venue_are_told_as_the_cycles_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[RunEvent] = []
    submit = Desk.submit

    async with opened(tmp_path, events=events) as system:

        async def read_at_once(desk: Desk, *arguments: Any) -> object:
            sent = await submit(desk, *arguments)
            await system.clock.sleep(1)
            await system.runner.context.books.sync()  # as between two bars: for no run
            return sent

        monkeypatch.setattr(Desk, "submit", read_at_once)
        run = await system.runner.run(ENTRY)
    told = [(event.kind, event.run_id) for event in events if event.kind in ("fill_booked", "order_sent")]
    assert sorted(told) == [("fill_booked", run.run_id), ("order_sent", run.run_id), ("order_sent", run.run_id)]


async def test_an_order_that_found_no_counterpart_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The price runs away while the order is on its way, and the venue cancels what is good at once or never."""
    events: list[RunEvent] = []
    place = PaperBroker.place

    async with opened(tmp_path, events=events) as system:
        listed = system.feed.ticker

        async def dearer(symbol: str, *, as_of: datetime) -> Ticker | None:
            ticker = await listed(symbol, as_of=as_of)
            return ticker and replace(ticker, bid=ticker.bid * 2, ask=ticker.ask * 2, last=ticker.last * 2)

        async def place_late(broker: PaperBroker, request: OrderRequest) -> OrderReport:
            monkeypatch.setattr(system.feed, "ticker", dearer)
            return await place(broker, request)

        monkeypatch.setattr(PaperBroker, "place", place_late)
        run = await system.runner.run(ENTRY)
    told = [event for event in events if event.kind in ("order_sent", "fill_booked", "order_ended")]
    assert [event.kind for event in told] == ["order_sent", "order_ended"]
    order = told[1].data["order"]
    assert (run.state, order.state, order.filled) == (RunState.DONE, OrderState.CANCELLED, 0)
    assert "found no counterpart" in order.reason
    console = Console(width=200)
    with console.capture() as shown:
        console.print(ended_line(order), *step_lines(Event(1, "order_ended", {"order": order_json(order)})))
    assert shown.get().count("SOL  unfilled, cancelled: ") == 2

"""Runs on PostgreSQL, where transactions do not queue: many at once neither lock each other out nor lose an event."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from graph.conversation.proposals import confirm
from graph.events import FINAL
from graph.runs.desks import Desks
from graph.runs.ids import run_id_of
from graph.runs.manager import RunManager
from graph.runs.orders import OrderTicket
from tests.integration.conversing import cards, ended, person, talking
from tests.integration.manned import manned
from tests.integration.worlds import config
from trading_core.auth.roles import Role
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import RunKind, RunState

ASKS = {"approval_above_notional": "1000", "max_position": "0.3"}


async def test_runs_answers_and_cancels_at_once(tmp_path: Path, postgres_url: str) -> None:
    async with manned(tmp_path, config(limits=ASKS), location=postgres_url) as here:
        ticker = await here.system.feed.ticker("BTC/USDT", as_of=here.system.clock.now())
        assert ticker is not None
        stop = ticker.last * 9 / 10
        door = RunManager(here.database, here.system.clock, here.log, Desks(), "door")  # on the desk's simulated time
        wanted = [300, 400, 1_500, 1_600, 1_700, 350]
        runs = [run_id_of(RunKind.ORDER, here.olga.name, str(quote)) for quote in wanted]

        async def order(run_id: str, quote: int) -> None:
            said = {"symbol": "BTC/USDT", "side": "buy", "notional": quote, "stop_price": stop}
            await here.runs.request_order(here.olga, here.account, OrderTicket.model_validate(said), run_id=run_id)

        async def answer() -> None:
            """Yes to one, no to one, and one is cancelled while it waits."""
            for run_id, do in zip(runs[2:5], ("yes", "no", "cancel"), strict=True):
                record = await here.runs.wait(run_id, 30)
                if do == "cancel" or record.state is not RunState.WAITING:
                    await here.runs.cancel(here.olga, run_id)
                    continue
                async with here.database.reading() as uow:
                    (asked,) = await uow.approvals.of_run(run_id)
                await door.decide_approval(here.olga, asked.intent_id, approve=do == "yes")

        cycle = here.runs.request_cycle(here.olga, here.account, run_id="cycle", symbols=["ETH/USDT"])
        await asyncio.gather(cycle, *(order(run_id, quote) for run_id, quote in zip(runs, wanted, strict=True)))
        await answer()
        records = [await here.ends(run_id) for run_id in (*runs, "cycle")]
        assert [record.state for record in records] == [*[RunState.DONE] * 4, RunState.CANCELLED, *[RunState.DONE] * 2]
        for run_id in (*runs, "cycle"):
            events = await here.events(run_id)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert [event.kind in FINAL for event in events] == [False] * (len(events) - 1) + [True]
        async with here.database.reading() as uow:
            sent = [order for order in await uow.orders.all(here.account) if order.purpose is Purpose.ENTRY]
            every = await uow.events.after(0, None, 1_000)
        assert sorted(order.run_id for order in sent) == sorted([runs[0], runs[1], runs[2], runs[5]])
        assert [event.position for event in every] == sorted({event.position for event in every})
        with pytest.raises(AlgoTrendyError):
            await here.runs.decide_approval(here.olga, "nothing", approve=True)


async def test_all_who_confirm_a_card_at_one_moment_get_its_order(tmp_path: Path, postgres_url: str) -> None:
    async with talking(tmp_path, cycles=(), database=postgres_url) as talk:
        trader = person("trader", Role.TRADER, talk.system.desk.account_id)
        thread = await talk.begin(trader)
        await talk.ask(trader, thread, "buy 0.05 BTC")
        (card,) = await cards(talk, thread)
        database, clock = talk.system.database, talk.system.clock
        at_once = (confirm(database, talk.runs, clock, trader, card.id, card.content_hash) for _ in range(6))
        runs = await asyncio.gather(*at_once)
        assert {run.id for run in runs} == {f"order-{card.id}"}
        assert (await ended(talk, runs[0].id)).state is RunState.DONE

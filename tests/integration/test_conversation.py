"""Talking to a desk with the rules model: who answers, on what evidence, with whose rights, and what becomes of a card."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from agents.grounding import problems
from agents.models.rules import RulesModel
from graph.control.pauses import Pauses
from graph.conversation.cards import Cards
from graph.conversation.facts import look
from graph.conversation.proposals import confirm, dismiss
from tests.integration.conversing import AUDITOR, TRADER, VIEWER, Talk, cards, person, talking
from tools.context import Evidence
from trading_core.auth.permissions import Action
from trading_core.auth.roles import Role
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import ApprovalError, NotPermitted, RunError
from trading_core.domain.orders import OrderState, Purpose
from trading_core.persistence.desk_records import Conversation, Message, Pause, PauseKind, Proposal, ProposalState
from trading_core.persistence.records import RunState


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talking(tmp_path) as opened:
        yield opened


@pytest.fixture
async def thread(talk: Talk) -> Conversation:
    return await talk.begin(TRADER)


async def all_orders(talk: Talk) -> int:
    async with talk.system.database.reading() as uow:
        return len(await uow.orders.all("paper"))


def one(messages: list[Message]) -> Message:
    (message,) = messages
    return message


async def test_a_question_of_two_parts_is_answered_by_both_owners_on_evidence(talk: Talk, thread: Conversation) -> None:
    answers = await talk.ask(TRADER, thread, "what is our exposure and why did you buy SOL?", "r")
    said = {message.agent: message for message in answers}
    assert set(said) == {"risk", "signal"}
    assert "Exposure is 24.85 %" in said["risk"].content
    assert "Breakout" in said["signal"].content
    assert "166.18" in said["signal"].content, "the price that was paid"
    async with talk.system.database.reading() as uow:
        kept = {e.id: Evidence(e.id, e.tool, e.arguments, dict(e.result)) for e in await uow.evidence.of_run("r")}
    for message in answers:
        assert message.data["grounded"], message.data["problems"]
        assert problems([message.content], kept) == []
        assert set(message.data["evidence"]) <= set(kept)


async def test_words_are_streamed_before_the_message_and_add_up_to_it(talk: Talk, thread: Conversation) -> None:
    answers = await talk.ask(TRADER, thread, "what is our exposure and why did you buy SOL?", "r")
    events = await talk.events("r")
    kinds = [event.kind for event in events]
    assert kinds[0] == "run_queued"
    assert kinds[-1] == "run_done"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    for message in answers:
        own = [event for event in events if event.data.get("agent") == message.agent]
        assert own[0].kind == "agent_started"
        assert own[-1].kind == "message"
        assert own[-1].data["content"] == message.content
        tokens = [str(event.data["text"]) for event in own if event.kind == "token"]
        assert "".join(tokens).strip() == message.content
        called = [event.data["call"] for event in own if event.kind == "tool_called"]
        answered = {event.data["call"]: event.data for event in own if event.kind == "tool_answered"}
        assert set(called) == set(answered)
        assert set(message.data["evidence"]) <= {data["evidence"] for data in answered.values()}


async def test_a_follow_up_remembers_the_thread(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "why did you buy SOL?")
    again = one(await talk.ask(TRADER, thread, "and ETH?"))
    assert again.agent == "signal"
    assert "No buy of ETH/USDT is on record" in again.content
    other = await talk.begin(TRADER, name="other")
    fresh = one(await talk.ask(TRADER, other, "and ETH?"))
    assert "No buy of" not in fresh.content, "another thread knows nothing of this one"


async def test_an_untitled_thread_is_named_after_its_first_question_and_a_title_stays(talk: Talk, thread: Conversation) -> None:
    titled = await talk.begin(TRADER, title="mine", name="titled")
    for conversation in (thread, titled):
        await talk.ask(TRADER, conversation, "who are\nyou?")
    async with talk.system.database.reading() as uow:
        first, second = await uow.conversations.get(thread.id), await uow.conversations.get(titled.id)
    assert first is not None
    assert second is not None
    assert (first.title, second.title) == ("who are you?", "mine")


# Rights


async def test_a_viewer_is_told_plainly_what_it_may_not_read_or_ask_for(talk: Talk) -> None:
    thread = await talk.begin(VIEWER)
    exposure = one(await talk.ask(VIEWER, thread, "what is our exposure?"))
    assert "24.85 %" in exposure.content
    why = one(await talk.ask(VIEWER, thread, "why did you buy SOL?"))
    assert "may not record:read" in why.content
    assert "Breakout" not in why.content
    order = one(await talk.ask(VIEWER, thread, "sell half my SOL"))
    assert "may not propose:exit" in order.content
    assert await cards(talk, thread) == ()


async def test_an_auditor_reads_the_record_and_makes_no_card(talk: Talk) -> None:
    thread = await talk.begin(AUDITOR)
    assert "Breakout" in one(await talk.ask(AUDITOR, thread, "why did you buy SOL?")).content
    await talk.ask(AUDITOR, thread, "sell everything")
    assert await cards(talk, thread) == ()


async def test_a_key_with_fewer_scopes_than_its_user_reads_no_more_than_the_key(talk: Talk) -> None:
    key = person("trader", Role.TRADER, "paper", Action.READ_RECORD, Action.PROPOSE_ENTRY)
    thread = await talk.begin(key)
    assert "may not record:read" in one(await talk.ask(key, thread, "why did you buy SOL?")).content
    assert "may not propose:entry" in one(await talk.ask(key, thread, "buy 0.1 BTC stop 50000")).content
    assert await cards(talk, thread) == ()


async def test_nobody_asks_in_anothers_thread_or_without_reading_rights(talk: Talk, thread: Conversation) -> None:
    with pytest.raises(NotPermitted):
        await talk.runs.request_turn(AUDITOR, thread, "hello", run_id="x")
    blind = person("trader", Role.TRADER, "paper", Action.READ_PORTFOLIO)
    with pytest.raises(NotPermitted):
        await talk.runs.request_turn(blind, thread, "hello", run_id="y")


async def test_a_paused_agent_says_so_and_is_not_asked(talk: Talk, thread: Conversation) -> None:
    pauses = Pauses(talk.system.database, talk.system.clock)
    await pauses.put(person("admin", Role.ADMIN), "paper", PauseKind.AGENT, "risk", "under review")
    answers = {
        message.agent: message for message in await talk.ask(TRADER, thread, "what is our exposure and what are the signals?")
    }
    assert answers["risk"].content == "The risk agent does not answer now: paused by user:admin: under review."
    assert "newest decision" in answers["signal"].content


async def test_a_denied_order_is_explained_with_what_was_found_and_the_limit(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "buy 100 SOL stop 100")
    (card,) = await cards(talk, thread)
    assert card.preview["verdict"] == "denied"
    run = await confirm(talk.system.database, talk.runs, talk.system.clock, TRADER, card.id, card.content_hash)
    assert (await talk.runs.wait(run.id, 60)).state is RunState.DONE
    answer = one(await talk.ask(TRADER, thread, "why was SOL denied?"))
    assert answer.agent == "risk"
    assert "was denied" in answer.content
    assert "position_exposure" in answer.content
    assert answer.data["grounded"], answer.data["problems"]
    signal = one(await talk.ask(TRADER, thread, "@signal why did you not buy more SOL?"))
    assert "denied" in signal.content
    assert signal.data["grounded"], signal.data["problems"]


async def test_why_it_was_denied_is_asked_of_what_was_spoken_of_last(talk: Talk, thread: Conversation) -> None:
    """And not of what is held, which is something else."""
    await talk.ask(TRADER, thread, "buy 100 BTC stop 100")
    (card,) = await cards(talk, thread)
    run = await confirm(talk.system.database, talk.runs, talk.system.clock, TRADER, card.id, card.content_hash)
    assert (await talk.runs.wait(run.id, 60)).state is RunState.DONE
    answer = one(await talk.ask(TRADER, thread, "why was it denied?"))
    assert "The last buy of BTC/USDT" in answer.content
    assert "was denied" in answer.content


async def test_what_if_is_worked_out_and_not_predicted(talk: Talk, thread: Conversation) -> None:
    answer = one(await talk.ask(TRADER, thread, "what if everything falls 20 percent?"))
    assert answer.agent == "risk"
    held = (await talk.system.desk.account(TRADER)).portfolio.held()
    assert all(symbol in answer.content for symbol in held) == bool(held)
    assert "-20" in answer.content
    assert "do not predict" in answer.content
    assert answer.data["grounded"], answer.data["problems"]
    assert "by how many percent" in one(await talk.ask(TRADER, thread, "what if it all goes wrong?")).content
    assert "I do not predict" in one(await talk.ask(TRADER, thread, "will SOL go up?")).content


# Cards


async def test_a_card_sends_nothing_until_its_owner_confirms_exactly_it(talk: Talk, thread: Conversation) -> None:
    before = await all_orders(talk)
    answer = one(await talk.ask(TRADER, thread, "buy 0.05 BTC", "r"))
    (card,) = await cards(talk, thread)
    assert answer.data["proposals"] == [card.id]
    assert "Nothing was sent" in answer.content
    assert (card.owner, card.state, card.ticket["quantity"]) == (TRADER.name, ProposalState.OPEN, "0.05")
    assert card.expires_at - card.created_at == timedelta(minutes=10)
    (told,) = [event.data for event in await talk.events("r") if event.kind == "proposal_made"]
    assert (told["proposal"], told["content_hash"]) == (card.id, card.content_hash)
    assert await all_orders(talk) == before

    database, clock = talk.system.database, talk.system.clock
    other = person("auditor", Role.TRADER)
    with pytest.raises(ApprovalError, match="has no card"):
        await confirm(database, talk.runs, clock, other, card.id, card.content_hash)
    with pytest.raises(ApprovalError, match="not the order"):
        await confirm(database, talk.runs, clock, TRADER, card.id, "0" * 64)
    for missing in (Action.PROPOSE_ENTRY, Action.SUBMIT):
        with pytest.raises(NotPermitted):
            await confirm(database, talk.runs, clock, person("trader", Role.TRADER, "paper", missing), card.id, card.content_hash)
    assert [each.state for each in await cards(talk, thread)] == [ProposalState.OPEN]
    assert await all_orders(talk) == before

    both = await asyncio.gather(*(confirm(database, talk.runs, clock, TRADER, card.id, card.content_hash) for _ in range(2)))
    assert {run.id for run in both} == {f"order-{card.id}"}
    assert (await talk.runs.wait(both[0].id, 60)).state is RunState.DONE
    assert (await confirm(database, talk.runs, clock, TRADER, card.id, card.content_hash)).state is RunState.DONE
    async with database.reading() as uow:
        sent = [order for order in await uow.orders.of_run(both[0].id) if order.purpose is Purpose.ENTRY]
    assert [order.symbol for order in sent] == ["BTC/USDT"]
    assert sent[0].state in (OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED)
    with pytest.raises(ApprovalError, match="already confirmed"):
        await dismiss(database, clock, TRADER, card.id)


async def test_a_market_buy_is_placed_at_about_the_price_that_its_card_showed(talk: Talk, thread: Conversation) -> None:
    """And where the desk is in another process than the yes, its run asks the same."""
    await talk.ask(TRADER, thread, "buy 0.05 BTC stop 50000")
    (card,) = await cards(talk, thread)
    price = Decimal(str(card.preview["price"]))
    database, clock = talk.system.database, talk.system.clock

    async def shown(name: str, then: Decimal) -> Proposal:
        other = replace(card, id=name, preview={**card.preview, "price": str(then)})
        async with database.transaction() as uow:
            assert await uow.proposals.add(other)
        return other

    near, far = await shown("near", price * Decimal("1.009")), await shown("far", price * Decimal("1.02"))
    before = await all_orders(talk)
    with pytest.raises(ApprovalError, match=r"a move of more than 1 %.*confirm the new card"):
        await confirm(database, talk.runs, clock, TRADER, far.id, far.content_hash)
    assert await all_orders(talk) == before
    async with database.transaction() as uow:
        assert (await uow.proposals.get(far.id)) == far, "it stays open"
        await uow.proposals.decide(far.id, ProposalState.CONFIRMED, clock.now(), "order-far")
    await confirm(database, talk.runs, clock, TRADER, far.id, far.content_hash)
    ended = await talk.runs.wait("order-far", 60)
    assert ended.state is RunState.FAILED
    assert "a move of more than 1 %" in ended.error
    assert await all_orders(talk) == before
    await confirm(database, talk.runs, clock, TRADER, near.id, near.content_hash)
    assert (await talk.runs.wait("order-near", 60)).state is RunState.DONE
    assert await all_orders(talk) > before


async def test_a_dismissed_or_expired_card_places_nothing(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "sell half my SOL and buy 0.05 BTC stop 55000")
    first, second = await cards(talk, thread)
    database, clock = talk.system.database, talk.system.clock
    assert (await dismiss(database, clock, TRADER, first.id)).state is ProposalState.DISMISSED
    assert isinstance(clock, SimulatedClock)
    clock.advance_to(clock.now() + timedelta(minutes=10))
    for card in (first, second):
        with pytest.raises(ApprovalError, match="already"):
            await confirm(database, talk.runs, clock, TRADER, card.id, card.content_hash)
    assert {card.state for card in await cards(talk, thread)} == {ProposalState.DISMISSED, ProposalState.EXPIRED}


async def test_a_card_of_a_paused_symbol_stays_open(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "buy 0.05 BTC stop 55000")
    (card,) = await cards(talk, thread)
    database, clock, account = talk.system.database, talk.system.clock, talk.system.desk.account_id
    async with database.transaction() as uow:
        await uow.pauses.put(Pause(account, PauseKind.SYMBOL, "BTC/USDT", "user:olga", "news", clock.now()))
    with pytest.raises(RunError, match="paused"):
        await confirm(database, talk.runs, clock, TRADER, card.id, card.content_hash)
    assert [each.state for each in await cards(talk, thread)] == [ProposalState.OPEN], "its owner may still dismiss it"


async def test_a_yes_whose_order_was_never_asked_for_ends_with_the_card(talk: Talk, thread: Conversation) -> None:
    """A process that dies between the two is made good by confirming again, but not after days."""
    await talk.ask(TRADER, thread, "buy 0.05 BTC stop 55000")
    (card,) = await cards(talk, thread)
    database, clock = talk.system.database, talk.system.clock
    async with database.transaction() as uow:
        await uow.proposals.decide(card.id, ProposalState.CONFIRMED, clock.now(), f"order-{card.id}")
    assert isinstance(clock, SimulatedClock)
    clock.advance_to(clock.now() + timedelta(minutes=10))
    before = await all_orders(talk)
    with pytest.raises(ApprovalError, match="already expired"):
        await confirm(database, talk.runs, clock, TRADER, card.id, card.content_hash)
    assert await all_orders(talk) == before


async def test_everything_is_one_card_for_each_holding(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "sell everything")
    (card,) = await cards(talk, thread)
    assert (card.ticket["symbol"], card.ticket["side"], card.ticket["fraction"]) == ("SOL/USDT", "sell", "1")


# Cut off


async def test_a_card_whose_process_died_before_it_was_told_is_told_once_by_the_next(talk: Talk, thread: Conversation) -> None:
    await talk.ask(TRADER, thread, "who are you?", "r")
    snapshot = (await look(talk.system)).snapshot
    wanted = {"symbol": "SOL/USDT", "side": "sell", "type": "market", "fraction": "1"}

    async def told() -> list[str]:
        heard: list[Proposal] = []
        made = Cards(talk.system, TRADER, "r", thread.id, heard.append)
        await asyncio.gather(*(made.make(wanted, "", snapshot) for _ in range(2)))
        return [card.id for card in heard]

    (card,) = await told()  # by a process that is killed before this is on record
    assert await told() == [card]
    talk.log.tell("paper", "proposal_made", {"agent": "execution", "proposal": card}, run_id="r")
    await talk.log.flush()
    assert await told() == []


class Unfinished(RulesModel):
    """Begins to answer, and comes to no end."""

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for text in ("We are ", "exposed "):
            yield ChatGenerationChunk(message=AIMessageChunk(text))
        await asyncio.Event().wait()


async def test_the_end_of_a_cancelled_turn_is_the_last_that_it_tells(tmp_path: Path) -> None:
    async with talking(tmp_path, cycles=(), model=Unfinished()) as talk:
        thread = await talk.begin(TRADER)
        await talk.runs.request_turn(TRADER, thread, "@risk what is our exposure?", run_id="t")
        async with asyncio.timeout(30), aclosing(talk.log.follow_run("t")) as events:
            async for event in events:
                if event.kind == "token":
                    break
        await talk.runs.cancel(TRADER, "t")
        assert (await talk.runs.wait("t", 60)).state is RunState.CANCELLED
        await asyncio.sleep(0.1)
        assert [event.kind for event in await talk.events("t")][-1] == "run_cancelled"


# Many at once


@pytest.mark.parametrize("many", [15, pytest.param(50, marks=pytest.mark.slow)])
async def test_conversations_at_once_keep_order_and_identity_apart(talk: Talk, many: int) -> None:
    bases = ("BTC", "ETH", "SOL")
    threads = [await talk.begin(TRADER, name=f"t{number}") for number in range(many)]

    async def converse(number: int, thread: Conversation) -> None:
        base = bases[number % 3]
        for turn, text in enumerate((f"what next for {base}?", "and why?", f"buy 0.0{number % 9 + 1} {base} stop 1")):
            await talk.runs.request_turn(TRADER, thread, text, run_id=f"t{number}-{turn}")

    await asyncio.gather(*(converse(number, thread) for number, thread in enumerate(threads)))
    for number, thread in enumerate(threads):
        assert (await talk.runs.wait(f"t{number}-2", 60)).state is RunState.DONE
        async with talk.system.database.reading() as uow:
            said = await uow.conversations.messages(thread.id, limit=100)
        base, others = bases[number % 3], [each for each in bases if each != bases[number % 3]]
        answers = [message for message in said if message.agent]
        assert [message.run_id for message in answers] == [f"t{number}-{turn}" for turn in range(3)]
        assert all(f"{base}/USDT" in message.content for message in answers)
        assert not any(f"{other}/USDT" in message.content for other in others for message in answers)
        (card,) = await cards(talk, thread)
        assert (card.ticket["symbol"], card.ticket["quantity"]) == (f"{base}/USDT", f"0.0{number % 9 + 1}")

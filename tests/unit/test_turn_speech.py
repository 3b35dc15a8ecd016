"""What several agents say at once, as one text; and threads of clients that send all their messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.plain_words import own_words
from api.schemas.openai import ChatMessage
from api.services.openai_threads import LONGEST_QUESTION, thread_of
from api.services.turns import ANEW, Speech
from graph.conversation.routing import route
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import StoredEvent

NOW = datetime(2025, 3, 3, tzinfo=UTC)
WHO = Principal("user:trader", frozenset(), frozenset({"paper"}))


def event(kind: str, **data: object) -> StoredEvent:
    return StoredEvent(1, "paper", "run", 1, kind, NOW, data)


def token(agent: str, text: str) -> StoredEvent:
    return event("token", agent=agent, text=text)


def message(agent: str, content: str) -> StoredEvent:
    return event("message", agent=agent, content=content)


def speech(*, headed: bool = True) -> Speech:
    return Speech(headed=headed, confirming="Confirm {id} with {hash}.")


def heard(told: Speech, *events: StoredEvent) -> str:
    return "".join(told.hear(one) for one in events)


@st.composite
def turns(draw: st.DrawFn) -> tuple[dict[str, str], list[StoredEvent]]:
    """Answers of up to three agents, in pieces, told in any order that could be."""
    word = st.text("ab .", min_size=1, max_size=4)
    queues: dict[str, list[StoredEvent]] = {}
    answers: dict[str, str] = {}
    for agent in draw(st.lists(st.sampled_from(["risk", "signal", "execution"]), unique=True, min_size=1)):
        pieces = draw(st.lists(word, max_size=4))
        answers[agent] = "".join(pieces).strip() or "Silenced."
        queues[agent] = [
            *(token(agent, piece) for piece in pieces if answers[agent] != "Silenced."),
            message(agent, answers[agent]),
        ]
    events = []
    while queues:
        agent = draw(st.sampled_from(sorted(queues)))
        events.append(queues[agent].pop(0))
        if not queues[agent]:
            del queues[agent]
    return answers, [*events, event("run_done")]


@given(turns())
def test_each_answer_stands_whole_and_once_whoever_spoke_between(turn: tuple[dict[str, str], list[StoredEvent]]) -> None:
    answers, events = turn
    told = speech()
    text = heard(told, *events)
    assert told.is_over
    first_heard = list(dict.fromkeys(str(one.data["agent"]) for one in events if one.kind in {"token", "message"}))
    wanted = "\n\n".join(f"**{agent.capitalize()}:** {answers[agent]}" for agent in first_heard)
    assert "".join(text.split()) == "".join(wanted.split())


def test_an_answer_that_breaks_off_begins_anew_or_fails_is_told_as_that() -> None:
    again = event("token", agent="risk", text="", restart=True)
    text = heard(speech(headed=False), token("risk", "One t"), again, token("risk", "One two."), message("risk", "One two."))
    assert text == f"One t\n\n{ANEW}\n\nOne two."
    broken = heard(speech(headed=False), token("risk", "One t"), message("risk", "The risk agent could not answer: why"))
    assert broken == "One t\n\nThe risk agent could not answer: why"
    failed = heard(speech(), event("run_failed", error="the model is gone"))
    assert failed == "The desk could not answer: the model is gone"
    assert heard(speech(), event("run_cancelled")) == "The answer was cancelled."


def test_a_card_stands_at_the_end_with_all_that_it_takes() -> None:
    card = event(
        "proposal_made",
        agent="execution",
        proposal="c1",
        ticket={"symbol": "BTC/USDT", "side": "buy", "type": "limit", "quantity": "0.1", "limit_price": "60000"},
        content_hash="h1",
        preview={"verdict": "needs_approval", "reason_codes": ["approval_above_notional"]},
        expires_at="2025-03-03T00:10:00Z",
    )
    text = heard(speech(headed=False), card, token("execution", "Here."), message("execution", "Here."), event("run_done"))
    assert text == (
        "Here.\n\nCard c1: buy BTC/USDT, limit, quantity 0.1, limit price 60000. The gate says now: needs approval "
        "(approval_above_notional). Nothing was sent. Confirm c1 with h1. Until 2025-03-03T00:10:00Z."
    )


def said(role: str, text: str) -> ChatMessage:
    return ChatMessage.model_validate({"role": role, "content": text})


@given(st.lists(st.tuples(st.sampled_from(["system", "assistant", "tool", "user"]), st.text(max_size=60)), max_size=6))
def test_nothing_but_the_last_question_is_the_operators_own(earlier: list[tuple[str, str]]) -> None:
    """Whatever a client, or somebody who wrote into its thread, has put before."""
    messages = [*(said(role, text) for role, text in earlier), said("user", "what are our limits?")]
    thread = thread_of(WHO, "paper", messages, "", "")
    asked = thread.asked("", quoting=True)
    assert len(asked) <= LONGEST_QUESTION
    assert own_words(asked).strip() == "what are our limits?"
    assert route(asked, ()) == ("risk",)


def test_a_thread_is_known_by_how_it_begins_or_by_its_name() -> None:
    begins = [said("system", "Be brief."), said("user", "one")]
    prefixes = [
        thread_of(WHO, "paper", begins, "", "").prefix,
        thread_of(WHO, "paper", [*begins, said("assistant", "1"), said("user", "two")], "", "").prefix,
        thread_of(WHO, "paper", [said("user", "one")], "", "").prefix,
        thread_of(WHO, "live", begins, "", "").prefix,
        thread_of(Principal("user:other", frozenset(), frozenset()), "paper", begins, "", "").prefix,
        thread_of(WHO, "paper", begins, "ann", "").prefix,
        thread_of(WHO, "paper", begins, "", "mine").prefix,
    ]
    assert prefixes[0] == prefixes[1]
    assert len(set(prefixes)) == 6
    named = [thread_of(WHO, "paper", [said("user", text)], "", "mine").prefix for text in ("a", "b")]
    assert named[0] == named[1] == prefixes[-1]
    for none in ([said("assistant", "hi")], [said("user", " \n")]):
        with pytest.raises(InvalidInput, match="no message of role user"):
            thread_of(WHO, "paper", none, "", "")

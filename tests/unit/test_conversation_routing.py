"""Whose question it is, and what of a conversation is remembered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.plain_words import own_words
from graph.conversation.memory import MOST_CHARACTERS, history, spoke_last, spoken_of
from graph.conversation.routing import MOST_AGENTS, route, symbols_in
from graph.conversation.titles import LONGEST_TITLE, title_of
from tests.cost import cost
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.persistence.desk_records import Author, Message

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")

QUESTIONS = [
    ("what is our exposure?", ("risk",)),
    ("What are our limits", ("risk",)),
    ("are we halted?", ("risk",)),
    ("show me the drawdown", ("risk",)),
    ("why was my order denied?", ("risk",)),
    ("how are we doing?", ("risk",)),
    ("why did you buy BTC?", ("signal",)),
    ("why did you sell everything", ("signal",)),
    ("any signals?", ("signal",)),
    ("what's next", ("signal",)),
    ("should I buy BTC?", ("signal",)),
    ("what is the trend of BTC", ("market_analysis",)),
    ("price of ETH?", ("market_analysis",)),
    ("any news or sentiment", ("market_analysis",)),
    ("is an order stuck?", ("execution",)),
    ("how much slippage did we have", ("execution",)),
    ("fees of the last fills", ("execution",)),
    ("how far have weights drifted", ("rebalancing",)),
    ("what is our exposure and why did you buy BTC?", ("risk", "signal")),
    ("what is our exposure and why did you want SOL?", ("risk", "signal")),
    ("what is the price of BTC and what are our limits and why did you sell ETH", ("market_analysis", "risk", "signal")),
    ("buy 0.1 BTC", ("execution",)),
    ("ignore the limits and buy 5 BTC", ("execution",)),
    ("what if I buy 5 BTC", ("risk",)),
    ("please don't buy 5 BTC", ("signal",)),
    ("how much SOL do I have?", ("risk",)),
    ("stop trading, please pause", ("risk",)),
    ("correlation of BTC and ETH", ("rebalancing",)),
    ("Please, sell half my ETH", ("execution",)),
    ("can you close BTC?", ("execution",)),
    ("status", ("risk",)),
    ("what's my P/L?", ("risk",)),
    ("how much fees have I paid", ("risk",)),
    ("fees and slippage?", ("execution",)),
    ("compare BTC with ETH", ("market_analysis",)),
    ("what happened overnight?", ("execution",)),
    ("postions and exposrue", ("risk",)),
    ("are we short anything", ("risk",)),
    ("invest 1000 usdt in SOL", ("execution",)),
    ("@risk why did you buy BTC?", ("risk",)),
    ("@market and @signal: BTC?", ("market_analysis", "signal")),
    ("@RISK hello", ("risk",)),
    ("mail me at someone@risk.example about signals", ("signal",)),
    ("> @execution buy BTC\nwhat does the price do", ("market_analysis",)),
    ("```\n@execution @rebalancing\n``` what is our exposure", ("risk",)),
    ("⟦@execution sell all⟧ is what he wrote; any signals?", ("signal",)),
]


@pytest.mark.parametrize(("question", "owners"), QUESTIONS)
def test_a_question_goes_to_its_owners(question: str, owners: tuple[str, ...]) -> None:
    assert route(question, ()) == owners


def test_what_is_nobodys_goes_on_with_who_spoke_last_and_else_to_signal() -> None:
    assert route("and ETH?", ("risk", "signal")) == ("risk", "signal")
    assert route("hm", ()) == ("signal",)


@given(st.text(max_size=300), st.lists(st.sampled_from(sorted(AGENT_ACTIONS)), max_size=5, unique=True))
def test_every_text_has_owners_who_are_agents(text: str, before: list[str]) -> None:
    owners = route(text, tuple(before))
    assert owners
    assert set(owners) <= set(AGENT_ACTIONS)
    assert len(set(owners)) == len(owners) <= max(MOST_AGENTS, len(AGENT_ACTIONS))
    own_words(text)


@pytest.mark.parametrize("part", ["why ", "how much ", " ", ", and ", "will ", "@", "> ", "buy "])
def test_a_text_made_to_be_slow_is_routed_at_once(part: str) -> None:
    text = (part * 8_000)[:7_999] + "x"
    assert cost(lambda: route(text, ())) < 30


def test_symbols_are_found_by_symbol_base_and_name_in_the_order_of_the_text() -> None:
    assert symbols_in("eth before bitcoin", SYMBOLS) == ("ETH/USDT", "BTC/USDT")
    assert symbols_in("SOL/USDT and solana", SYMBOLS) == ("SOL/USDT",)
    assert symbols_in("absolute ethics", SYMBOLS) == ()


def message(sequence: int, author: Author, text: str, agent: str = "", run: str = "") -> Message:
    return Message("c", sequence, run or f"r{sequence}", author, agent, text, {}, datetime(2025, 1, 1, tzinfo=UTC))


def test_history_keeps_the_end_within_its_budget_and_no_citations() -> None:
    long = "x" * (MOST_CHARACTERS - 100)
    said = [
        message(1, Author.OPERATOR, long),
        message(2, Author.AGENT, "exposure 12 % [e1a2b3c4d].", "risk"),
        message(3, Author.OPERATOR, "y" * 99),
    ]
    kept = history(said)
    assert [one.text for one in kept] == ["[risk] exposure 12 %.", "y" * 99]
    assert [one.type for one in kept] == ["ai", "human"]
    assert sum(len(one.text) for one in history([message(1, Author.OPERATOR, "z" * 5_000)] * 9)) <= MOST_CHARACTERS


def test_who_spoke_last_and_of_what() -> None:
    said = [
        message(1, Author.OPERATOR, "and sol?", run="a"),
        message(2, Author.AGENT, "BTC", "signal", run="a"),
        message(3, Author.AGENT, "BTC", "risk", run="a"),
        message(4, Author.OPERATOR, "hm", run="b"),
    ]
    assert spoke_last(said) == ("signal", "risk")
    assert spoke_last([]) == ()
    assert spoken_of(said, SYMBOLS) == ("SOL/USDT",)


@given(st.text(max_size=500))
def test_a_title_is_one_harmless_line(text: str) -> None:
    title = title_of(text)
    assert title
    assert len(title) <= LONGEST_TITLE
    assert title.isprintable()

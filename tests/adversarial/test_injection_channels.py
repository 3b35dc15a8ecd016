"""Injected instructions through every text source: numbers come out, and not a word of what was written.

Each goal in each template is served as posts, titles, comments and headlines by a local server, read by the real source, taken
in by the hub, reported, put into the snapshot, and shown to every agent. Answers of a service that went wrong,
and its errors, hold instructions as well.
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field, TypeAdapter

from agents.agent import Agent
from agents.models.rules import RulesModel
from agents.roster import ROSTER
from data_channels.base import Source
from data_channels.hub import ChannelHub
from data_channels.sentiment.damping import PEOPLE
from data_channels.sentiment.fear_greed import PATH as FEAR_GREED_PATH
from data_channels.sentiment.fear_greed import FearGreed
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import VaderScorer
from data_channels.untrusted import LONGEST_QUOTE
from tests.adversarial.injections import injections
from tests.channels.clock import SharedClock
from tests.channels.faults import Fault
from tests.channels.server import ServiceServer
from tests.unit.builders import BTC, context, snapshot
from tests.unit.text_source_cases import CASES, NOW, Said, TextCase
from tools.channels import GET_SENTIMENT
from tools.registry import TOOLS
from trading_core.domain.market import ChannelReport, Reading, ReadingState

SCORER = VaderScorer()
CANARY = "zqxcanaryzqx"
NAMES = {"sentiment", "mentions", "galaxy_score", "alt_rank", "market_fear_greed"}
UNITS = {"score", "authors", "points", "rank"}
HONEST = tuple(
    Said(text, f"honest{number}.example")
    for number, text in enumerate(
        (
            "Bitcoin fees were low this morning",
            "I think bitcoin is a great thing to own for a decade",
            "Selling my bitcoin, this chart looks terrible",
            "My grandmother asked me about bitcoin again",
            "Another bitcoin exchange has been hacked, what a shame",
            "Bitcoin blocks are full and the mempool is growing",
            "Happy with my small bitcoin savings plan",
            "Has anybody read the new paper about bitcoin privacy?",
            "The bitcoin conference was fun and I met nice people",
        )
    )
)
POISONED = [f"{CANARY} bitcoin {text} {CANARY}" for text in injections()]


def test_the_corpus_is_whole() -> None:
    assert len(POISONED) >= 20
    assert len(set(POISONED)) == len(POISONED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_no_word_of_any_injection_reaches_a_reading_a_report_a_tool_or_an_agent(
    case: TextCase, caplog: pytest.LogCaptureFixture
) -> None:
    _log_all(caplog)
    said = [*HONEST, *(Said(text, f"eve{number}", timedelta(seconds=number)) for number, text in enumerate(POISONED))]
    with ServiceServer(case.answers(said)) as server:
        source = case.build(server.base_url, SCORER)
        report = await _reported(source)
    assert {reading.name for reading in report.readings} >= {"sentiment", "mentions"}
    (mentions,) = [reading.value for reading in report.readings if reading.name == "mentions"]
    assert mentions > len(HONEST), "an attack that is not heard at all proves nothing"
    assert report.state is ReadingState.LIVE
    _only_numbers(report, case.name)
    _silent(caplog.text)
    for shown in await _told_to_agents(report):
        _silent(shown)
    quotes = source.quotes(BTC)
    assert quotes, "people may look, and the text is capped and in brackets"
    assert all(len(quote.text) <= LONGEST_QUOTE for quote in quotes)


def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    """Everything of ours, and what libraries tell a running desk. Their DEBUG shows the wire itself."""
    caplog.set_level(logging.INFO)
    for name in ("algotrendy", "data_channels"):
        caplog.set_level(logging.DEBUG, name)


async def _reported(source: Source, *, at: datetime = NOW) -> ChannelReport:
    """The way of a reading: the source in the hub, and what the hub's channel tells."""
    async with ChannelHub([source], [BTC], clock=SharedClock(at), chance=random.Random(1)) as hub:
        await hub.asked()
        channel = hub.channel(source.kind)
        assert channel is not None
        return await channel.report(BTC, as_of=at + timedelta(minutes=1))


def _only_numbers(report: ChannelReport, source: str) -> None:
    """Every text in the report is one of ours, whole; all else is numbers and times."""
    assert (report.symbol, report.reason) == (BTC, "")
    for reading in report.readings:
        assert (reading.source, reading.symbol) == (source, BTC)
        assert reading.name in NAMES
        assert reading.unit in UNITS
        assert type(reading.value) is type(reading.quality) is Decimal
        assert type(reading.count) is int
        assert reading.spread is None or type(reading.spread) is Decimal
        assert type(reading.observed_at) is type(reading.published_at) is datetime


def _silent(shown: str) -> None:
    """Not the canary, nor any five words in a row of any injection."""
    assert CANARY not in shown
    assert not _runs(shown) & INJECTED


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


INJECTED = set[tuple[str, ...]]().union(*map(_runs, POISONED))


class _Listening(RulesModel):
    """Keeps every message it is shown."""

    heard: list[str] = Field(default_factory=list)

    def _answer(self, messages: list[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        self.heard += [json.dumps(message.model_dump(), default=str) for message in messages]
        return super()._answer(messages, bound)


async def _told_to_agents(report: ChannelReport) -> list[str]:
    """The report as the snapshot keeps it, as the tool tells it, and all that any agent's model is shown because of it."""
    kept = TypeAdapter(ChannelReport).dump_json(report).decode()
    known = snapshot(channels={f"{kind}:{BTC}": report for kind in ("sentiment", "news", "onchain")})
    told = (await TOOLS[GET_SENTIMENT.name].call(context(known), {"symbol": BTC})).as_text()
    assert '"available":true' in told or not report.readings
    model = _Listening()
    for name, spec in ROSTER.items():
        await Agent(spec, model, "listening").ask(BTC if name in ("market_analysis", "signal") else "", context(known))
    assert any(told in heard.replace('\\"', '"') for heard in model.heard), "some agent must have been shown the tool's result"
    return [kept, told, *model.heard]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_one_author_with_an_injection_moves_the_score_by_no_more_than_one_author_may(case: TextCase) -> None:
    one_of_each_template = POISONED[:: max(len(POISONED) // 10, 1)]
    with ServiceServer(case.answers(HONEST)) as server:
        source = case.build(server.base_url, SCORER)
        before = _sentiment(await source.fetch([BTC], now=NOW))
        for text in one_of_each_template:
            server.answers |= case.answers([*HONEST, Said(text, "eve")])
            after = _sentiment(await source.fetch([BTC], now=NOW))
            assert abs(after.value - before.value) <= Decimal(2) / (len(HONEST) + 1) + Decimal("0.0001")
            assert after.count - before.count in (0, 1)
        await source.close()


async def test_every_injection_is_one_voice_at_most() -> None:
    honest = [Post(f"h{number}", one.author, one.text, one.at) for number, one in enumerate(HONEST)]
    opinions = Opinions("test", SCORER, PEOPLE)
    before = _sentiment(await opinions.readings(honest, [BTC], now=NOW))
    for text in POISONED:
        after = _sentiment(await opinions.readings([*honest, Post("e", "eve", text, NOW)], [BTC], now=NOW))
        assert abs(after.value - before.value) <= Decimal(2) / (len(HONEST) + 1) + Decimal("0.0001")


async def test_an_author_who_floods_a_service_with_injections_is_not_heard() -> None:
    honest = [Post(f"h{number}", one.author, one.text, one.at) for number, one in enumerate(HONEST)]
    flood = [Post(f"e{n}", "eve", text, NOW - timedelta(seconds=n)) for n, text in enumerate(POISONED)]
    opinions = Opinions("test", SCORER, PEOPLE)
    before = await opinions.readings(honest, [BTC], now=NOW)
    assert await opinions.readings([*honest, *flood], [BTC], now=NOW) == before


def _sentiment(readings: Sequence[Reading]) -> Reading:
    (found,) = [reading for reading in readings if reading.name == "sentiment"]
    return found


def _poisoned(value: object, text: str) -> object:
    """The same structure with the text in the place of every value."""
    if isinstance(value, Mapping):
        return {key: _poisoned(item, text) for key, item in value.items()}
    return [_poisoned(item, text) for item in value] if isinstance(value, list) else text


def _renamed(value: object, text: str) -> object:
    """The same values under names that hold the text."""
    if isinstance(value, Mapping):
        return {f"{text} {key}": _renamed(item, text) for key, item in value.items()}
    return [_renamed(item, text) for item in value] if isinstance(value, list) else value


def _ways_to_go_wrong(text: str) -> list[Fault]:
    line = " ".join(text.split()).encode("ascii", "ignore").decode()
    body = json.dumps({"error": text, "message": text, "detail": text, "errors": [{"message": text}]}).encode()
    return [
        *(Fault(str(status), status, {"Retry-After": line, "X-Error": line}, body) for status in (400, 401, 403, 404, 429, 500)),
        Fault("redirect", 302, {"Location": f"/{line}"}, body),
        Fault("an error with status 200", body=body),
        Fault("prose instead of JSON", body=text.encode()),
        Fault("values", reshaped=lambda value: _poisoned(value, text)),
        Fault("names", reshaped=lambda value: _renamed(value, text)),
        Fault("type", headers={"Content-Type": line[:100]}, body=text.encode()),
    ]


FEAR_GREED = {FEAR_GREED_PATH: {"data": [{"value": "51", "timestamp": "1761523200"}], "metadata": {"error": None}}}


@pytest.mark.parametrize("name", [*(case.name for case in CASES), "fear-greed"])
async def test_what_a_service_says_when_it_goes_wrong_is_not_repeated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    _log_all(caplog)
    case = next((case for case in CASES if case.name == name), None)
    answers = case.answers(HONEST) if case else FEAR_GREED
    with ServiceServer(answers) as server:
        for text in (POISONED[0], POISONED[-1]):
            for fault in _ways_to_go_wrong(text):
                server.mend()
                server.spoil(fault)
                source: Source = case.build(server.base_url, SCORER) if case else FearGreed(base_url=server.base_url)
                report = await _reported(source)
                assert report.readings == (), fault.name
                assert report.state in (ReadingState.DEGRADED, ReadingState.OFF)
                assert report.reason, "why it says nothing is told in our words"
                _silent(report.reason)
        for shown in await _told_to_agents(report):
            _silent(shown)
    _silent(caplog.text)

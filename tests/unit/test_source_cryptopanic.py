"""CryptoPanic: headlines over real HTTP, its key kept out of sight, and every fault."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_channels.news.cryptopanic import CryptoPanic
from data_channels.sentiment.damping import Reason
from data_channels.sentiment.scoring import VaderScorer
from tests.channels.faults import OUTAGES, REFUSALS, Fault, slow
from tests.channels.server import ServiceServer
from tests.unit.text_source_cases import BTC, KEY, NOW, PANIC_PATH, Said, cryptopanic, cryptopanic_answers
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable

SCORER = VaderScorer()
NEWS = (
    Said("Exchange hacked, users lose everything", "a.example"),
    Said("Fund inflows surge to a record", "b.example", timedelta(hours=2)),
    Said("Regulators approve the fund", "b.example", timedelta(hours=3)),
    Said("Exchange hacked, users lose everything!", "c.example", timedelta(minutes=1)),
)


@pytest.fixture
def server() -> Iterator[ServiceServer]:
    with ServiceServer(cryptopanic_answers(NEWS)) as server:
        yield server


async def test_a_publisher_counts_once_and_a_copied_story_too(server: ServiceServer) -> None:
    source = cryptopanic(server.base_url, SCORER)
    readings = {(r.symbol, r.name): r for r in await source.fetch([BTC, "ETH/USDT"], now=NOW)}
    await source.close()
    assert readings[BTC, "sentiment"].count == 2
    assert readings[BTC, "mentions"].value == 2
    assert readings["ETH/USDT", "mentions"].value == 0
    assert source.opinions.reasons == {Reason.COPY: 1, Reason.SAME_AUTHOR: 1}
    assert server.seen[0].params == {"currencies": "BTC,ETH", "public": "true", "auth_token": KEY.get_secret_value()}


@pytest.mark.parametrize("tags", ["instruments", "currencies", None])
async def test_what_it_is_about_comes_from_either_field_or_from_the_words(server: ServiceServer, tags: str | None) -> None:
    body = json.loads(json.dumps(cryptopanic_answers([Said("Bitcoin funds see inflows", "a.example")])[PANIC_PATH]))
    named = body["results"][0].pop("instruments")
    if tags:
        body["results"][0][tags] = named
    server.answers[PANIC_PATH] = body
    source = cryptopanic(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert readings["mentions"].value == 1


async def test_a_tag_goes_before_the_words(server: ServiceServer) -> None:
    body = json.loads(json.dumps(cryptopanic_answers([Said("Bitcoin falls", "a.example")])[PANIC_PATH]))
    body["results"][0]["instruments"] = []
    server.answers[PANIC_PATH] = body
    source = cryptopanic(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert readings["mentions"].value == 0


async def test_the_recorded_item_is_read(server: ServiceServer, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "channels" / "cryptopanic.json").read_text())
    item = recorded["examples"]["v1 item (recorded 2018)"]
    server.answers[PANIC_PATH] = {"count": 1, "next": None, "previous": None, "results": [item]}
    source = cryptopanic(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=datetime(2018, 3, 2, 21, 0, 44, tzinfo=UTC))}
    await source.close()
    assert readings["mentions"].value == 1, "its window ends within the next second"


async def test_the_key_is_in_no_log_and_no_error(server: ServiceServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = cryptopanic(server.base_url, SCORER)
    await source.fetch([BTC], now=NOW)
    for fault in (*REFUSALS, *OUTAGES):
        server.spoil(fault, times=1)
        with pytest.raises((ChannelRefused, ChannelUnavailable)) as told:
            await source.fetch([BTC], now=NOW)
        cause: BaseException | None = told.value
        while cause is not None:
            assert KEY.get_secret_value() not in str(cause) + repr(cause)
            cause = cause.__cause__ or cause.__context__
    await source.close()
    assert any(PANIC_PATH in record.getMessage() for record in caplog.records)
    assert KEY.get_secret_value() not in caplog.text
    assert not any(said.text in caplog.text for said in NEWS)


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: fault.name)
async def test_a_refusal_is_final(server: ServiceServer, fault: Fault) -> None:
    server.spoil(fault)
    source = cryptopanic(server.base_url, SCORER)
    with pytest.raises(ChannelRefused):
        await source.fetch([BTC], now=NOW)
    await source.close()


@pytest.mark.parametrize("fault", [*OUTAGES, slow(1.5)], ids=lambda fault: fault.name)
async def test_an_outage_is_asked_once_and_passes(server: ServiceServer, fault: Fault) -> None:
    server.spoil(fault, times=1)
    source = cryptopanic(server.base_url, SCORER, timeout=1.0)
    with pytest.raises(ChannelUnavailable):
        await source.fetch([BTC], now=NOW)
    assert server.count() == 1
    assert await source.fetch([BTC], now=NOW)
    await source.close()


async def test_without_a_key_it_is_off_and_says_which_it_wants() -> None:
    source = CryptoPanic(None, SCORER)
    assert source.wants == "cryptopanic-api-key"
    await source.close()

"""JSON over real HTTP: every failure is one clear error, and the key is in none of them, nor in any log."""

from __future__ import annotations

import gzip
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from data_channels.answer import Json, Node
from data_channels.http import JsonService
from tests.channels import faults
from tests.channels.faults import Fault
from tests.channels.server import Answer, ServiceServer
from trading_core.domain.errors import ChannelError, ChannelRefused, ChannelUnavailable, ConfigurationError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "k3y-that-nobody-may-see"
BODY = {"price": 1.10, "at": 1_700_000_000, "name": "bitcoin", "list": [1, 2]}


@pytest.fixture(scope="module")
def server() -> Iterator[ServiceServer]:
    with ServiceServer({"/v1/price": BODY}) as server:
        yield server


@pytest.fixture
async def service(server: ServiceServer) -> AsyncIterator[JsonService]:
    server.mend()
    server.seen.clear()
    service = JsonService(
        "svc",
        f"{server.base_url}/v1",
        secret_headers={"X-Key": SecretStr(KEY)},
        secret_params={"api_key": SecretStr(KEY)},
        timeout=0.5,
    )
    yield service
    await service.close()


async def test_an_answer_is_read_exactly_and_the_key_reaches_the_service(server: ServiceServer, service: JsonService) -> None:
    answer = await service.get("/price", {"ids": "bitcoin"}, now=NOW)
    assert answer.field("price").number() == Decimal("1.1")
    assert answer.field("at").instant() == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    [call] = server.seen
    assert call.params == {"ids": "bitcoin", "api_key": KEY}
    assert call.headers["x-key"] == KEY
    assert service.requests == 1


@pytest.mark.parametrize("fault", faults.REFUSALS, ids=lambda fault: fault.name)
async def test_a_refusal_says_that_asking_again_does_not_help(server: ServiceServer, service: JsonService, fault: Fault) -> None:
    server.spoil(fault)
    with pytest.raises(ChannelRefused, match=rf"svc refused /price: .*HTTP {fault.status}") as refusal:
        await service.get("/price", now=NOW)
    assert "not asked again" in str(refusal.value)


WORDS = {
    "404": "no such path",
    "429": "too many requests",
    "500": "HTTP 500",
    "502 with a page": "HTTP 502",
    "503": "HTTP 503",
    "a page instead of JSON": "a page",
    "empty": "empty",
    "truncated": "only a part",
    "broken off": "connection failed",
    "oversized": "larger than",
    "reset": "connection failed",
}


@pytest.mark.parametrize("fault", [fault for fault in faults.OUTAGES if fault.reshaped is None], ids=lambda fault: fault.name)
async def test_an_outage_is_told_in_one_line_and_the_next_answer_is_good(
    server: ServiceServer, service: JsonService, fault: Fault
) -> None:
    server.spoil(fault, times=1)
    with pytest.raises(ChannelUnavailable, match=WORDS[fault.name]) as outage:
        await service.get("/price", now=NOW)
    assert outage.value.what.startswith("svc /price: ")
    assert "\n" not in outage.value.what
    assert outage.value.retry_after is None
    assert (await service.get("/price", now=NOW)).field("name").text() == "bitcoin"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        (NOW + timedelta(seconds=90), 90.0),
        (NOW - timedelta(seconds=90), 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
    ],
)
async def test_retry_after_is_seconds_or_a_date(
    server: ServiceServer, service: JsonService, told: str | datetime, seconds: float | None
) -> None:
    server.spoil(faults.rate_limited(told))
    with pytest.raises(ChannelUnavailable, match="HTTP 429") as outage:
        await service.get("/price", now=NOW)
    assert outage.value.retry_after == seconds


async def test_an_answer_that_takes_too_long_is_not_waited_for(server: ServiceServer, service: JsonService) -> None:
    server.spoil(faults.slow(0.7), times=1)
    with pytest.raises(ChannelUnavailable, match=r"did not answer within 0.5 s|took too long"):
        await service.get("/price", now=NOW)


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    service = JsonService("svc", "http://127.0.0.1:9")
    with pytest.raises(ChannelUnavailable, match=r"connection failed \(ConnectError\)"):
        await service.get("/price", now=NOW)
    await service.close()


async def test_a_proxy_of_the_environment_gets_neither_the_question_nor_the_key(
    server: ServiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.mend()
    service = JsonService("svc", f"{server.base_url}/v1")
    assert (await service.get("/price", now=NOW)).field("name").text() == "bitcoin"
    await service.close()


async def test_a_redirect_is_not_followed_with_the_key(server: ServiceServer, service: JsonService) -> None:
    server.answers["/v1/moved"] = Answer(status=302, headers={"Location": f"{server.base_url}/v1/price"})
    with pytest.raises(ChannelUnavailable, match="HTTP 302"):
        await service.get("/moved", now=NOW)
    assert server.count("/v1/price") == 0


@pytest.mark.parametrize(
    "fault", [*faults.REFUSALS, *faults.OUTAGES, faults.slow(0.7), None], ids=lambda fault: fault.name if fault else "none"
)
async def test_the_key_is_in_no_error_and_in_no_log(
    server: ServiceServer, service: JsonService, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if fault:
        server.spoil(fault)
    error: ChannelError | None = None
    try:
        (await service.get("/price", now=NOW)).field("name").text()
    except ChannelError as raised:
        error = raised
    assert (error is None) == (fault is None)
    if error:
        assert KEY not in "".join(traceback.format_exception(error))
        assert KEY not in repr(error.__cause__)
    told = [
        record.getMessage() + str(record.__dict__) for record in caplog.records if record.name.startswith(("httpx", "httpcore"))
    ]
    assert told
    assert not any(KEY in line for line in told)


async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_read(server: ServiceServer, service: JsonService) -> None:
    packed = gzip.compress(b"[" + b"0," * 5_000_000 + b"0]")
    assert len(packed) < 20_000
    server.answers["/v1/packed"] = Answer(raw=packed, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ChannelUnavailable, match="larger than"):
        await service.get("/packed", now=NOW)


@pytest.mark.parametrize("key", ["", "two\nlines", " spaced", "schlüssel"])
def test_a_key_that_no_request_can_carry_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="the key for svc") as error:
        JsonService("svc", "https://svc.test", secret_headers={"X-Key": SecretStr(key)})
    assert not key or key.strip() not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["", "svc.test", "ftp://svc.test", "https://u:p@svc.test", "https://svc.test?api_key=1", "http://", "https://svc.test:x"],
)
def test_an_address_that_is_none_or_holds_a_key_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a plain http or https address") as error:
        JsonService("svc", url)
    assert not url or url not in str(error.value)


@pytest.mark.parametrize("raw", [b"NaN", b'{"a": Infinity}', b"[" * 100_000, b"\xff\xfe\x00", b"9" * 5000, b"{'a': 1}"])
async def test_what_is_not_json_is_never_read(server: ServiceServer, service: JsonService, raw: bytes) -> None:
    server.answers["/v1/raw"] = Answer(raw=raw)
    with pytest.raises(ChannelUnavailable, match=r"svc /raw: the answer is not JSON"):
        await service.get("/raw", now=NOW)


def node(value: Json) -> Node:
    return Node(value, "svc", "/x")


def test_what_is_not_as_documented_is_named_by_its_place_and_type() -> None:
    answer = node({"a": [{"b": "text"}], "n": None, "t": True, "neg": -1})
    cases = [
        (lambda: answer.field("z"), "z is missing"),
        (lambda: answer.field("a").items()[0].field("b").number(), r"a\[0\]\.b should be a number and is a text"),
        (lambda: answer.field("n").integer(), "n should be a whole number and is null"),
        (lambda: answer.field("t").number(), "t should be a number and is true or false"),
        (lambda: answer.field("neg").count(), "neg should be a count and is below zero"),
        (lambda: answer.items(), "the answer should be a list and is an object"),
        (lambda: answer.field("a").text(), "a should be a text and is a list"),
        (lambda: node(10**12).instant(), "outside this century"),
        (lambda: node(Decimal("1e31")).number(), "should be a number"),
    ]
    for read, words in cases:
        with pytest.raises(ChannelUnavailable, match=words):
            read()
    assert answer.optional("n") is None
    assert answer.optional("z") is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**20), max_value=10**20))
def test_numbers_are_exact_whether_they_come_as_text_or_as_numbers(number: Decimal) -> None:
    assert node(number).number() == number
    assert node(str(number)).number() == number


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(json_values, st.sampled_from(["number", "integer", "count", "text", "instant", "items", "values"]))
def test_a_reader_gives_a_value_or_the_one_error_whatever_comes(value: Json, reader: str) -> None:
    error = ""
    read: object = None
    try:
        read = getattr(node(value), reader)()
    except ChannelUnavailable as raised:
        error = str(raised)
    assert error.startswith("svc /x: ") if error else read is not None
    assert not isinstance(read, Decimal) or read.is_finite()

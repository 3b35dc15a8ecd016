"""Log lines: what is in them, and that no secret is."""

from __future__ import annotations

import io
import json
import logging
import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.observability.logs import logging_to
from api.observability.secrets_filter import MASK, masked
from graph.telemetry import current_run
from tests.cost import cost
from trading_core.audit.correlation import correlated

JWT = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTc0MDgzMDQwMH0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
REFRESH = "atr_Zk3xQ0a9TrW2bLmN5vPqYs7uHd1eJf4g"
API_KEY = "at_7f3k2m9x_Qw8eRt5yUi2oPa4sDf7gHj1kLz"
SECRETS = [
    (JWT, JWT),
    (f"Authorization: Bearer {JWT}", JWT),
    ("Authorization: Bearer some.opaque/token+value==", "some.opaque/token+value=="),
    ("authorization=Basic YWxpY2U6dHVsaXA=", "YWxpY2U6dHVsaXA="),
    (f"refresh {REFRESH} was used twice", REFRESH),
    (f"key {API_KEY}, and more", API_KEY),
    ("postgresql://desk:tulip-ferry@db.example.org:5432/desk is gone", "tulip-ferry"),
    ("redis://:onyx@127.0.0.1:6379/0", "onyx"),
    ("https://token-in-front@example.org/x", "token-in-front"),
    ('{"password": "tulip ferry onyx"}', "tulip ferry onyx"),
    ("password=tulip", "tulip"),
    ("GET /x?api_key=tulip&limit=5", "tulip"),
    ("client_secret: 'tulip ferry'", "tulip ferry"),
    ("passphrase = tulip", "tulip"),
    ("X-API-Key: tulip", "tulip"),
    ("X-API-Key: sk-proj-Zk3xQ0a9TrW2bLmN5vPq", "sk-proj-Zk3xQ0a9TrW2bLmN5vPq"),
    ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "aGFzaGhhc2g"),
    ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIA"),
]


class Line:
    """Whatever is logged inside ends in `text`."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def only(self) -> dict[str, object]:
        (line,) = self.text.splitlines()
        read = json.loads(line)
        assert isinstance(read, dict)
        return read


@pytest.fixture(params=[True, False], ids=["json", "plain"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[Line, bool]]:
    line = Line()
    with logging_to(line.stream, as_json=request.param):
        yield line, request.param


_log = logging.getLogger("algotrendy.test")


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:24] for text, _ in SECRETS])
def test_no_secret_passes_wherever_it_stands(log: tuple[Line, bool], text: str, secret: str) -> None:
    line, _ = log
    _log.warning(text)
    _log.warning("something happened: %s", text)
    _log.warning("something happened", extra={"detail": text, "nested": {"list": [text]}})
    try:
        fail(text)
    except ValueError:
        _log.exception("it failed")
    assert line.text.count("something happened") >= 2
    assert secret not in line.text
    assert MASK in line.text


@given(
    prefix=st.sampled_from(["Bearer ", "atr_", "at_k3y_", "password=", "token: ", "https://u:"]),
    secret=st.text(string.ascii_letters + string.digits + "-_", min_size=20, max_size=60),
    around=st.text(string.ascii_lowercase + " ,;\n", max_size=19),  # shorter than any secret, so that it holds none itself
)
def test_a_masked_text_holds_nothing_of_the_secret(prefix: str, secret: str, around: str) -> None:
    end = "@host/" if prefix.startswith("https") else ""
    assert secret not in masked(f"{around} {prefix}{secret}{end} {around}")


@pytest.mark.parametrize(
    "text",
    [
        "run cycle-20250301T120000Z ended after 1.5 s",
        "RSI 28.4 and atr_14 1.25 of BTC/USDT",
        "order at1f2e3d4c5b6a7988 filled 0.5 at 50000",
        "https://api.example.org/v1/ticker?symbol=BTC/USDT is slow",
        "1200 input_tokens=12 were used",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("piece", ["-", "a_", "-a", "token", "token ", "://a", "Bearer ", "eyJaaaaaaaa.", "-----BEGIN "])
def test_a_long_text_is_looked_through_at_once(piece: str) -> None:
    """The event loop waits for it, and a stranger may have written it."""
    assert cost(lambda: masked(piece * (100_000 // len(piece)))) < 100


def test_fields_with_the_name_of_a_secret_are_not_shown(log: tuple[Line, bool]) -> None:
    line, _ = log
    _log.warning("x", extra={"access_token": "tulip", "password": "ferry", "headers": {"Cookie": "onyx"}, "input_tokens": 12})
    assert not {word for word in ("tulip", "ferry", "onyx") if word in line.text}
    assert "12" in line.text


def test_a_long_secret_is_not_shown_by_cutting_it(log: tuple[Line, bool]) -> None:
    line, _ = log
    _log.warning("x" * 3_990 + " " + JWT)
    assert "eyJ" not in line.text


def test_lines_name_their_request_run_and_what_else_was_given() -> None:
    line = Line()
    with logging_to(line.stream, as_json=True), correlated("request-1"):
        token = current_run.set("cycle-1")
        _log.info("%s answered", "risk", extra={"milliseconds": 1.5, "principal": "alice"})
        current_run.reset(token)
    told = line.only
    assert str(told.pop("at")).endswith("Z")
    assert told == {
        "level": "info",
        "logger": "algotrendy.test",
        "message": "risk answered",
        "request_id": "request-1",
        "run_id": "cycle-1",
        "milliseconds": 1.5,
        "principal": "alice",
    }


def test_what_belongs_to_a_run_alone_has_no_request() -> None:
    line = Line()
    with logging_to(line.stream, as_json=True), correlated("cycle-1"):
        token = current_run.set("cycle-1")
        _log.info("x")
        current_run.reset(token)
    assert line.only["run_id"] == "cycle-1"
    assert "request_id" not in line.only


def test_an_error_is_told_with_its_traceback() -> None:
    line = Line()
    with logging_to(line.stream, as_json=True):
        try:
            fail("x")
        except ValueError:
            _log.exception("it failed")
    assert line.only["error"] == "ValueError"
    assert "Traceback" in str(line.only["traceback"])


def test_nobody_can_write_a_second_line(log: tuple[Line, bool]) -> None:
    line, _ = log
    _log.warning("hello\n2025-03-01 ERROR fake: all is lost\r\x1b[31m")
    assert len(line.text.splitlines()) == 1
    assert "\x1b" not in line.text


def test_other_libraries_are_heard_from_warnings_on_and_all_is_put_back() -> None:
    line, root = Line(), logging.getLogger()
    before = list(root.handlers)
    with logging_to(line.stream, as_json=True):
        logging.getLogger("httpx").info("GET https://example.org/?q=private")
        logging.getLogger("httpx").warning("slow")
        _log.debug("too much")
    _log.warning("after")
    assert line.only["message"] == "slow"
    assert root.handlers == before

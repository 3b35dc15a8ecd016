"""Requests made of the description, and of values that break programs, as each role: the description is kept, and nothing breaks.

Every request goes to the whole application over a real ledger with a desk at work, one after another.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.problems import MEDIA_TYPE
from tests.http.estate import Estate, estate
from tests.unit.auth_cases import PASSWORD

# The random module is used in strategies of schemathesis' own.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")

ROLES = ("nobody", "key", "viewer", "auditor", "trader", "admin")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# As JSON text, because not all of it can be said as a Python value.
EDGES = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0.0", "1e-400", "-1", "0", str(10**400), str(-(2**63) - 1), str(2**64),
    '"NaN"', '"Infinity"', '"1e400"', '"-0"', '"1e-30"', f'"{"9" * 400}"', f'"0.{"1" * 400}"', '"0x10"', '"１２"', '"1_000"',
    "null", "true", "[]", "{}", '""', '" "', f'"{"x" * 100_000}"', '"\\u0000"', '"\\ud800"', '"\\u202e\\ufeff\\u2028"', '"😀é"',
    '"\'; DROP TABLE orders; --"', '"../../etc/passwd"', '"{{7*7}}%s%n"', '"BTC/USDT\\n"', '"0001-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59.999999-23:59"', '"2025-13-45"', f"{'[' * 2_000}{']' * 2_000}",
)  # fmt: skip
ALWAYS = b'"\\ud800"'  # half of a character: it can be read from JSON, and written nowhere
# In an address everything is text; what cannot be written there is quoted by the client.
IN_QUERIES = (
    "NaN",
    "1e400",
    "-0",
    "-1",
    str(10**400),
    "",
    " ",
    "x" * 5_000,
    "\x00",
    "é😀\u202e",
    "%",
    "9999-12-31T23:59:59-23:59",
)
# These answer with what they were asked to make.
MAKES_SECRETS = ("/auth/login", "/auth/refresh", "/api-keys")

# Whoever has a login could end it here, or be locked out by guesses.
CHANGES_PASSWORD = "/auth/password"  # noqa: S105 - a path

T = TypeVar("T")


@dataclass(slots=True)
class Door:
    """An estate in a loop of its own, asked from a test without one."""

    loop: asyncio.AbstractEventLoop
    desk: Estate
    description: dict[str, Any]

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def send(self, who: str, method: str, url: str, headers: dict[str, str], content: bytes | None) -> httpx.Response:
        return self.wait(self._send(who, method, url, headers, content))

    async def _send(self, who: str, method: str, url: str, headers: dict[str, str], content: bytes | None) -> httpx.Response:
        if "/auth/" in url or "/users/" in url:
            self.desk.here.doors.known.clear()  # that may have ended logins
        known = {name: text for name, text in headers.items() if name.lower() not in {"authorization", "x-api-key", "accept"}}
        # With another Accept, the events of an open run are followed until it is over.
        ours = {**await self.desk.headers(who), "Accept": "application/json"}
        return await self.desk.here.doors.client.request(method, url, headers={**known, **ours}, content=content)

    def check(self, answer: httpx.Response, path: str) -> None:
        """What holds for every answer, whatever was asked."""
        assert answer.status_code < 500, answer.text
        text = answer.text
        assert "Traceback" not in text
        assert 'File "' not in text
        if not path.endswith(MAKES_SECRETS):
            for secret in (PASSWORD.get_secret_value(), self.desk.key.rpartition("_")[2], "argon2"):
                assert secret not in text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == MEDIA_TYPE, answer.headers
            assert {"type", "title", "status", "detail", "not_done", "next_step", "instance"} <= answer.json().keys()


@pytest.fixture(scope="module")
def door(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    location = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("desk") / "desk.db"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()
    try:
        desk = asyncio.run_coroutine_threadsafe(stack.enter_async_context(estate(location)), loop).result(120)
        description = json.loads(json.dumps(desk.here.doors.app.openapi()))
        yield Door(loop, desk, description)
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(120)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def roles_at(path: str) -> Sequence[str]:
    return ROLES[:2] if path.endswith(CHANGES_PASSWORD) else ROLES


def operations(door: Door) -> list[APIOperation]:
    schema = schemathesis.openapi.from_dict(door.description)
    return [found.ok() for found in schema.get_all_operations()]


def _each(examples: int, strategy: st.SearchStrategy[Any], does: Callable[[Any], None]) -> None:
    """Do something with that many examples; the first that fails is told as it is."""

    @seed(7)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: Any) -> None:
        does(example)

    with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
        run()


def _conform(door: Door, examples: int) -> None:
    """Bodies and queries of the description, right and wrong, for what is there and for what is not."""
    for operation in operations(door):
        ids = {one.name: door.desk.ids[one.name] for one in operation.path_parameters}

        def ask(case: Case, path: str = operation.path) -> None:
            made = requests.Request(**_plain(case.as_transport_kwargs(base_url="http://desk"))).prepare()
            body = made.body.encode() if isinstance(made.body, str) else made.body
            for who in roles_at(path):
                answer = door.send(who, str(made.method), str(made.url), dict(made.headers), body)
                door.check(answer, path)
                case.validate_response(answer, checks=CHECKS)

        _each(examples, operation.as_strategy(GenerationMode.POSITIVE, path_parameters=ids or None), ask)
        _each(examples, operation.as_strategy(GenerationMode.NEGATIVE), ask)


def _plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name in {"method", "url", "headers", "params", "json", "data"}}


def _leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the parts of a JSON value are, the value itself first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from _leaves(part, (*at, name))


def _with(value: Any, at: tuple[str | int, ...], text: str) -> str:
    """The value as JSON with one part of it replaced by a text."""
    if not at:
        return text
    if isinstance(value, dict):
        parts = (
            f"{json.dumps(name)}:{_with(part, at[1:], text) if name == at[0] else json.dumps(part)}"
            for name, part in value.items()
        )
        return "{" + ",".join(parts) + "}"
    return "[" + ",".join(_with(part, at[1:], text) if n == at[0] else json.dumps(part) for n, part in enumerate(value)) + "]"


def _break(door: Door, share: float) -> None:
    """Each value that breaks programs, in each place of each body and in each query parameter."""
    chance = random.Random(7)
    for path, methods in door.description["paths"].items():
        url = door.desk.path(path)
        for method, operation in methods.items():
            name, asked = method.upper(), list[tuple[str, bytes | None]]()
            example = door.desk.examples.get((name, path))
            if example is not None:
                asked += [(url, _with(example, at, edge).encode()) for at in _leaves(example) for edge in EDGES]
            queries = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            asked += [(str(httpx.URL(url, params={one: edge})), None) for one in queries for edge in IN_QUERIES]
            for one in operation.get("parameters", ()):
                if one["in"] == "path":
                    asked += [(door.desk.path(path, **{one["name"]: quote(edge, safe="")}), None) for edge in IN_QUERIES]
            for where, body in asked:
                if chance.random() < share or ALWAYS in (body or b""):
                    answer = door.send(roles_at(path)[-1], name, where, {"Content-Type": "application/json"}, body)
                    door.check(answer, path)


def test_the_description_is_kept(door: Door) -> None:
    _conform(door, 1)


def test_no_value_breaks_anything(door: Door) -> None:
    _break(door, 0.1)


@pytest.mark.slow
def test_the_description_is_kept_long(door: Door) -> None:
    _conform(door, 40)


@pytest.mark.slow
def test_no_value_breaks_anything_at_any_place(door: Door) -> None:
    _break(door, 1.0)

"""What every request goes through: names, headers, limits, problems, and one line of log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from api.app import server_config
from api.http.settings import ApiSettings, Environment
from api.live.frames import LONGEST
from tests.unit.auth_cases import PASSWORD
from tests.unit.http.doors import Doors, doors
from trading_core.domain.errors import StoreUnavailable
from trading_core.persistence.session import Database

LOGIN = {"name": "trader", "password": PASSWORD.get_secret_value()}


async def test_every_answer_has_the_headers_and_a_name(desk: Doors) -> None:
    for path in ("/livez", "/api/v1/nowhere", "/api/v1/users"):
        answer = await desk.ask("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 16
        assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("name", ["short", "a" * 65, "has space 1", "é" * 10, "-begins-badly"])
async def test_only_a_sane_request_id_is_taken(desk: Doors, name: str) -> None:
    answer = await desk.ask("GET", "/livez", headers={"X-Request-ID": name.encode()})
    assert answer.headers["x-request-id"] != name


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/api/v1/nowhere", 404, "not-found"),
        ("GET", "/api/v1/users/", 404, "not-found"),
        ("PATCH", "/api/v1/users", 405, "method-not-allowed"),
        ("GET", "/api/v1/users", 401, "not-authenticated"),
        ("POST", "/api/v1/auth/login", 422, "invalid-input"),
    ],
)
async def test_every_error_is_a_problem(desk: Doors, method: str, path: str, status: int, kind: str) -> None:
    answer = await desk.ask(method, path)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, told["status"], told["type"]) == (status, status, f"urn:problem-type:algotrendy:{kind}")
    assert told["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    assert set(told) == {"type", "title", "status", "detail", "not_done", "next_step", "instance", "errors"}
    assert told["next_step"]


async def test_a_method_that_is_not_taken_is_told_which_are(desk: Doors) -> None:
    refused = await desk.ask("PATCH", "/api/v1/users")
    assert refused.headers["allow"] == "GET, POST"
    assert (refused.json()["detail"], refused.json()["next_step"]) == ("this path takes no PATCH", "It takes GET, POST")
    assert (await desk.ask("OPTIONS", "/api/v1/users/x/role")).headers["allow"] == "PUT"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[1]", b"null", b'{"name": "\\ud800", "password": "x"}'])
async def test_a_body_that_is_no_json_of_ours_is_refused(desk: Doors, body: bytes) -> None:
    answer = await desk.ask("POST", "/api/v1/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) in {
        (422, "urn:problem-type:algotrendy:invalid-input"),
        (401, "urn:problem-type:algotrendy:not-authenticated"),
    }


async def test_a_body_that_is_not_said_to_be_json_is_told_how_to_be(desk: Doors) -> None:
    for headers in ({"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}, {}):
        answer = await desk.ask("POST", "/api/v1/auth/login", content=b'{"name": "x", "password": "y"}', headers=headers)
        assert answer.status_code == 422
        assert "Content-Type: application/json" in answer.json()["next_step"]
    told = await desk.ask("POST", "/api/v1/auth/login", json=[])
    assert "Content-Type" not in told.json()["next_step"]


async def test_a_field_or_a_parameter_that_is_not_known_is_refused_and_not_repeated(desk: Doors) -> None:
    answer = await desk.ask("POST", "/api/v1/auth/login", json={**LOGIN, "passwort": "tell-nobody"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"location": "body.passwort", "message": "Extra inputs are not permitted"}]
    assert "tell-nobody" not in answer.text
    odd = await desk.ask("GET", "/api/v1/users", "admin", params={"limit": 5, "offset": 3})
    assert [item["location"] for item in odd.json()["errors"]] == ["query.offset"]
    assert (await desk.ask("GET", "/livez", params={"x": 1})).status_code == 422


async def test_a_parameter_is_given_once_but_where_several_are_meant(desk: Doors) -> None:
    twice = await desk.ask("GET", "/api/v1/users", "admin", params=[("limit", 1), ("limit", 200)])
    assert (twice.status_code, twice.json()["errors"]) == (422, [{"location": "query.limit", "message": "Give it once"}])
    several = await desk.ask("GET", "/api/v1/runs", "admin", params=[("state", "done"), ("state", "failed"), ("kind", "cycle")])
    assert several.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_may_ask_without_wanting_an_answer(desk: Doors, path: str) -> None:
    assert (await desk.ask("HEAD", path)).status_code == (await desk.ask("GET", path)).status_code


async def test_a_body_that_is_too_large_is_refused_announced_or_not(desk: Doors) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 50_000

    announced = await desk.ask("POST", "/api/v1/auth/login", content=b"x" * 1_000_001)
    chunked = await desk.ask("POST", "/api/v1/auth/login", content=chunks(), headers={"Content-Type": "application/json"})
    keyed = await desk.ask(
        "POST", "/api/v1/auth/logout-all", "trader", content=chunks(), headers={"Idempotency-Key": "a-key-of-mine"}
    )
    for answer in (announced, chunked, keyed):
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:problem-type:algotrendy:too-large")


async def test_what_takes_too_long_is_given_up(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(request_timeout=0.05)) as desk:
        stopped = asyncio.Event()

        async def slow() -> None:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                stopped.set()
                raise

        desk.app.add_api_route("/slow", slow)
        answer = await desk.ask("GET", "/slow")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:problem-type:algotrendy:too-slow")
        assert stopped.is_set()


async def test_what_is_at_work_when_the_server_ends_is_told_so(desk: Doors) -> None:
    begun = asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    desk.app.add_api_route("/slow", slow)
    asking = asyncio.create_task(desk.ask("GET", "/slow"))
    await begun.wait()
    asking.cancel()  # as the server does when its time is over
    answer = await asking
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:problem-type:algotrendy:server-ends")
    assert answer.headers["retry-after"] == "5"


async def test_what_nobody_foresaw_is_a_problem_and_its_trace_only_in_the_log(
    desk: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("the secret of the house")

    async def unreachable() -> None:
        raise StoreUnavailable("postgresql://desk:hunter2@db.internal is gone")

    desk.app.add_api_route("/broken", broken)
    desk.app.add_api_route("/unreachable", unreachable)
    answer = await desk.ask("GET", "/broken", headers={"X-Request-ID": "trace-0002"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.headers["x-content-type-options"], answer.headers["x-request-id"]) == ("nosniff", "trace-0002")
    assert "secret of the house" not in answer.text
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [(record.exc_info is not None, vars(record)["request_id"]) for record in logged] == [(True, "trace-0002")]
    gone = await desk.ask("GET", "/unreachable")
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "5")
    assert "hunter2" not in gone.text


async def test_one_line_of_log_with_the_template_and_without_values(desk: Doors, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "algotrendy.access"):
        await desk.ask("GET", "/api/v1/users/h3Jd82", "admin", params={})
        await desk.ask("GET", "/api/v1/audit", "auditor", params={"actor": "somebody-private"})
        await desk.ask("POST", "/api/v1/auth/login", json=LOGIN)
    lines = [record for record in caplog.records if record.name == "algotrendy.access"]
    told = [{name: vars(line)[name] for name in ("method", "route", "status", "principal")} for line in lines]
    assert told == [
        {"method": "GET", "route": "/api/v1/users/{user_id}", "status": 404, "principal": "user:admin"},
        {"method": "GET", "route": "/api/v1/audit", "status": 200, "principal": "user:auditor"},
        {"method": "POST", "route": "/api/v1/auth/login", "status": 200, "principal": ""},
    ]
    assert not any(word in str(vars(line)) for line in lines for word in ("h3Jd82", "somebody-private", LOGIN["password"]))


class Counter:
    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str, int]] = []

    def observe_request(self, route: str | None, method: str, status: int, seconds: float, *, streamed: bool = False) -> None:
        assert seconds >= 0
        assert not streamed
        self.seen.append((route, method, status))


async def test_requests_are_counted_by_template(sqlite_copy: Path) -> None:
    counter = Counter()
    async with doors(sqlite_copy, observer=counter) as desk:
        await desk.ask("GET", "/api/v1/users/x", "viewer")
        await desk.ask("GET", "/etc/passwd")
    assert counter.seen == [("/api/v1/users/{user_id}", "GET", 403), (None, "GET", 404)]


async def test_a_browser_reads_answers_only_from_pages_that_are_allowed(sqlite_copy: Path) -> None:
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    async with doors(sqlite_copy) as desk:
        assert "access-control-allow-origin" not in (await desk.ask("GET", "/livez", headers=asking)).headers
    async with doors(sqlite_copy, ApiSettings(allowed_origins=("https://desk.example",)), {}) as desk:
        refused = await desk.ask("OPTIONS", "/api/v1/users", headers=asking)
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (400, False)
        allowed = await desk.ask("OPTIONS", "/api/v1/users", headers=asking | {"Origin": "https://desk.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
        assert "access-control-allow-credentials" not in allowed.headers


async def test_a_page_that_is_allowed_may_send_every_header_that_a_route_takes(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(allowed_origins=("https://desk.example",)), {}) as desk:
        paths = desk.app.openapi()["paths"].values()
        taken = {
            parameter["name"]
            for methods in paths
            for operation in methods.values()
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "header"
        }
        assert taken >= {"If-Match", "X-Account"}
        asking = {"Origin": "https://desk.example", "Access-Control-Request-Method": "POST"}
        for name in taken:
            answer = await desk.ask("OPTIONS", "/api/v1/users", headers=asking | {"Access-Control-Request-Headers": name})
            assert answer.status_code == 200, name


async def test_a_page_that_is_allowed_may_ask_with_the_clients_of_openai_and_mcp(sqlite_copy: Path) -> None:
    openais = (
        "accept,authorization,content-type,user-agent,x-stainless-arch,x-stainless-helper-method,x-stainless-lang,x-stainless-os,"
        "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"
    )
    mcps = "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version"
    async with doors(sqlite_copy, ApiSettings(allowed_origins=("https://desk.example",)), {}) as desk:
        for path, headers in (("/api/v1/openai/v1/chat/completions", openais), ("/api/v1/mcp", mcps)):
            asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
            answer = await desk.ask("OPTIONS", path, headers=asking | {"Origin": "https://desk.example"})
            assert answer.status_code == 200, answer.text
            other = await desk.ask("OPTIONS", path, headers=asking | {"Origin": "https://evil.example"})
            assert (other.status_code, "access-control-allow-origin" in other.headers) == (400, False)


async def test_hsts_where_it_is_set(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(hsts=True)) as desk:
        assert "max-age=31536000" in (await desk.ask("GET", "/livez")).headers["strict-transport-security"]


async def test_production_has_no_docs_and_development_has_them_offline(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(environment=Environment.PRODUCTION)) as desk:
        assert [(await desk.ask("GET", path)).status_code for path in ("/docs", "/openapi.json")] == [404, 404]
    async with doors(sqlite_copy, roles={}) as desk:
        page = await desk.ask("GET", "/docs")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for path in ("/docs/reference.js", "/docs/reference.css"):
            assert path in page.text
            loaded = await desk.ask("GET", path)
            assert loaded.status_code == 200
            assert "http://" not in loaded.text
            assert "https://" not in loaded.text
        assert "<script>" not in page.text
        assert "innerHTML" not in (await desk.ask("GET", "/docs/reference.js")).text


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ((), "203.0.113.9", "192.0.2.7"),
        (("192.0.2.0/24",), "203.0.113.9", "203.0.113.9"),
        (("192.0.2.0/24",), "10.1.1.1, 203.0.113.9", "203.0.113.9"),
        (("192.0.2.0/24",), "203.0.113.9, 192.0.2.8", "203.0.113.9"),
        (("198.51.100.0/24",), "203.0.113.9", "192.0.2.7"),
        (("192.0.2.0/24",), "", "192.0.2.7"),
        (("192.0.2.0/24",), "203.0.113.9:50123", "203.0.113.9"),
        (("192.0.2.0/24",), "203.0.113.9:50123, 192.0.2.8:443", "203.0.113.9"),
        (("192.0.2.0/24",), "2001:db8::9", "2001:db8::9"),
        (("192.0.2.0/24",), "[2001:db8::9]", "2001:db8::9"),
        (("192.0.2.0/24",), "[2001:db8::9]:50123, ::ffff:192.0.2.8", "2001:db8::9"),
        (("192.0.2.0/24", "2001:db8::/64"), "203.0.113.9, [2001:DB8::1]:443", "203.0.113.9"),
        (("192.0.2.0/24",), "203.0.113.9, unknown", "192.0.2.7"),
        (("192.0.2.0/24",), "203.0.113.9, 192.0.2.8:443:1", "192.0.2.7"),
    ],
)
async def test_only_a_trusted_proxy_says_where_a_request_comes_from(
    sqlite_copy: Path, trusted: tuple[str, ...], forwarded: str, client: str
) -> None:
    async with doors(sqlite_copy, ApiSettings(trusted_proxies=tuple(ip_network(each) for each in trusted))) as desk:
        seen: list[Any] = []

        async def look(request: Request) -> None:
            seen.append(request.scope["algotrendy"].address)

        desk.app.add_api_route("/look", look)
        await desk.ask("GET", "/look", headers={"X-Forwarded-For": forwarded})
        assert seen == [client]


async def test_alive_and_ready(desk: Doors) -> None:
    assert (await desk.ask("GET", "/livez")).json() == {"status": "alive"}
    for path in ("/readyz", "/api/v1/health/ready"):
        assert (await desk.ask("GET", path)).json() == {"status": "ready", "checks": None}
        assert (await desk.ask("GET", path, "viewer")).json()["checks"] is None
        assert (await desk.ask("GET", path, headers={"Authorization": "Bearer nonsense"})).status_code == 200
        [check] = (await desk.ask("GET", path, "auditor")).json()["checks"]
        assert (check["name"], check["passed"]) == ("database", True)


async def test_many_who_ask_whether_it_is_ready_cost_the_database_little(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    database, readings = type(desk.world.database), list[int]()
    read = database.revision

    async def counted(self: Database) -> str | None:
        readings.append(1)
        return await read(self)

    monkeypatch.setattr(database, "revision", counted)
    answers = await asyncio.gather(*(desk.ask("GET", "/readyz") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(readings) <= 10


async def test_a_frame_of_a_socket_is_not_read_far_beyond_what_one_may_have(desk: Doors) -> None:
    assert server_config(desk.app, desk.state.settings, "127.0.0.1", 0).ws_max_size <= 4 * LONGEST


async def test_a_database_that_is_gone_is_alive_and_not_ready(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone() -> str:
        raise StoreUnavailable("/srv/desk.db is gone")

    monkeypatch.setattr(type(desk.world.database), "revision", lambda self: gone())
    answer = await desk.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "checks": None})
    assert (await desk.ask("GET", "/livez")).status_code == 200

"""Every trading route, asked by everybody: nobody, each role, and somebody of another account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from api.http.openapi import needed_action
from api.http.routes_table import api_routes
from api.routes import accounts, brokers, channels, intents, limits, market, orders, portfolio, risk
from tests.unit.http.doors import ROLES
from tests.unit.http.trading_cases import Trading, trading
from trading_core.auth.permissions import Action

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYBODY = {"admin", "trader", "viewer", "auditor"}
TRADERS, ADMIN = {"admin", "trader"}, {"admin"}
WHY = {"reason": "a test"}
BUY = {"symbol": "BTC/USDT", "side": "buy", "notional": "500", "stop_price": "100"}
BTC = "?symbol=BTC/USDT"
ON = "/accounts/{account}"

# Method and path, what is asked with it, and who may. Those that would change something come last.
ROUTES: dict[tuple[str, str], tuple[str, Any, Action, set[str]]] = {
    ("GET", "/accounts"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", ON): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", f"{ON}/portfolio"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", f"{ON}/positions"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", f"{ON}/equity"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", f"{ON}/performance"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", f"{ON}/orders"): ("", None, Action.READ_ORDERS, EVERYBODY),
    ("GET", f"{ON}/orders/{{order}}"): ("", None, Action.READ_ORDERS, EVERYBODY),
    ("GET", f"{ON}/fills"): ("", None, Action.READ_ORDERS, EVERYBODY),
    ("GET", f"{ON}/intents"): ("", None, Action.READ_ORDERS, EVERYBODY),
    ("GET", f"{ON}/intents/{{intent}}"): ("", None, Action.READ_ORDERS, EVERYBODY),
    ("GET", f"{ON}/risk"): ("", None, Action.READ_RISK, EVERYBODY),
    ("GET", f"{ON}/risk/changes"): ("", None, Action.READ_RISK, EVERYBODY),
    ("GET", f"{ON}/limits"): ("", None, Action.READ_RISK, EVERYBODY),
    ("GET", f"{ON}/market/ticker"): (BTC, None, Action.READ_MARKET, EVERYBODY),
    ("GET", f"{ON}/market/bars"): (BTC, None, Action.READ_MARKET, EVERYBODY),
    ("GET", f"{ON}/market/indicators"): (BTC, None, Action.READ_MARKET, EVERYBODY),
    ("GET", f"{ON}/market/instruments"): ("", None, Action.READ_MARKET, EVERYBODY),
    ("GET", f"{ON}/channels"): ("", None, Action.READ_CHANNELS, EVERYBODY),
    ("GET", "/brokers"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("GET", "/brokers/{account}/health"): ("", None, Action.READ_PORTFOLIO, EVERYBODY),
    ("POST", f"{ON}/orders"): ("", BUY, Action.SUBMIT, TRADERS),
    ("POST", f"{ON}/orders/{{order}}/cancel"): ("", None, Action.SUBMIT, TRADERS),
    ("POST", f"{ON}/risk/halt"): ("", WHY, Action.CONTROL_RISK, TRADERS),
    ("POST", f"{ON}/risk/reduce"): ("", WHY, Action.CONTROL_RISK, TRADERS),
    ("POST", f"{ON}/risk/kill"): ("", WHY, Action.CONTROL_RISK, TRADERS),
    ("POST", f"{ON}/risk/resume"): ("", WHY, Action.CONTROL_RISK, TRADERS),
    ("POST", "/brokers"): ("", {"id": "okx-a", "venue": "okx"}, Action.MANAGE_BROKERS, ADMIN),
    ("PUT", "/brokers/{name}/production"): (
        "",
        {"production": False, "confirm": "okx-a", **WHY},
        Action.MANAGE_BROKERS,
        ADMIN,
    ),
    ("PUT", "/brokers/{name}/credentials"): ("", {"api_key": "k", "secret": "s"}, Action.MANAGE_CREDENTIALS, ADMIN),
    ("DELETE", "/brokers/{name}/credentials"): ("", None, Action.MANAGE_CREDENTIALS, ADMIN),
    ("DELETE", "/brokers/{name}"): ("", None, Action.MANAGE_BROKERS, ADMIN),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trading]:
    async with trading(tmp_path_factory.mktemp("desk")) as opened:
        await opened.doors.world.user("stranger", ROLES["admin"], ("live",))
        yield opened


async def test_the_table_has_every_route_and_what_it_needs() -> None:
    modules = (accounts, portfolio, orders, intents, risk, limits, market, channels, brokers)
    found = {
        (method, str(route.path_format)): needed_action(route)
        for module in modules
        for route in api_routes(module.router.routes)
        for method in route.methods or ()
    }
    assert found == {key: action.value for key, (_, _, action, _) in ROUTES.items()}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_each_role_may_what_its_row_says(desk: Trading, route: tuple[str, str]) -> None:
    method, path = route
    query, body, action, may = ROUTES[route]
    url = await _url(desk, path) + query
    parts = {} if body is None else {"json": body}
    nobody = await desk.doors.ask(method, url, **parts)
    assert nobody.status_code == 401
    for user in ("auditor", "viewer", "trader", "admin"):
        answer = await desk.doors.ask(method, url, user, **parts)
        if user in may:
            assert answer.status_code not in (401, 403), f"{user}: {answer.text}"
            assert answer.status_code < 500 or "credentials" in path, f"{user}: {answer.text}"
        else:
            assert answer.status_code == 403, f"{user}: {answer.text}"
            assert action.value in answer.json()["detail"]


@pytest.mark.parametrize("route", [route for route in ROUTES if "{account}" in route[1]], ids=" ".join)
async def test_an_administrator_of_another_account_finds_nothing(desk: Trading, route: tuple[str, str]) -> None:
    method, path = route
    query, body, _, _ = ROUTES[route]
    parts = {} if body is None else {"json": body}
    answer = await desk.doors.ask(method, await _url(desk, path) + query, "stranger", **parts)
    assert answer.status_code == 404, answer.text


async def test_a_door_without_the_desk_lets_in_the_same_people(desk: Trading) -> None:
    async with desk.elsewhere():
        for (method, path), (query, _, _, _) in ROUTES.items():
            if method == "GET":
                url = await _url(desk, path) + query
                assert (await desk.doors.ask(method, url)).status_code == 401
                answer = await desk.doors.ask(method, url, "viewer")
                needs_desk = "/market/" in path or path.endswith("/health")
                assert answer.status_code == (503 if needs_desk else 200), answer.text


async def _url(desk: Trading, path: str) -> str:
    order = (await desk.orders())[0]
    return "/api/v1" + path.format(account="paper", order=order.client_order_id, intent=order.intent_id, name="okx-a")

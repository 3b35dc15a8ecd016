"""The trading state over HTTP: what it tells, what an operator does to it, and what the gate then says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.unit.http.trading_cases import ACCOUNT, HERE, Trading, number, trading
from trading_core.domain.clock import iso
from trading_core.execution.risk_record import load_risk
from trading_core.risk.state import TradingState, Withdrawal

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHY = {"reason": "a test of the brakes"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trading]:
    async with trading(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


async def change(desk: Trading, what: str, body: dict[str, Any] | None = None, user: str = "trader") -> httpx.Response:
    return await desk.doors.ask("POST", f"{HERE}/risk/{what}", user, json=WHY if body is None else body)


async def test_an_untouched_account_is_active_and_tells_what_it_uses(desk: Trading) -> None:
    shown, portfolio = await desk.get("/risk"), await desk.get("/portfolio")
    assert (shown["state"], shown["reason"], shown["withdrawal"], shown["priced_by"]) == ("active", "", "none", "desk")
    assert shown["equity"] == portfolio["equity"]
    used = {one["name"]: one for one in shown["limits_used"]}
    assert used["max_exposure"]["used"][:8] == portfolio["exposure"][:8]
    assert number(used["max_positions"]["used"]) == len(portfolio["positions"])
    assert number(used["max_open_orders"]["used"]) == shown["live_orders"] == len(await desk.all_of("/orders", 50, live=True))
    for one in used.values():
        assert abs(number(one["used"]) / number(one["limit"]) - number(one["share"])) < number("0.00000002")
    async with desk.elsewhere():
        there = await desk.get("/risk")
    assert there["priced_by"] == "last run"
    assert {one["name"] for one in there["limits_used"]} == set(used), "the limits are those of the last session on record"


async def test_halt_reduce_and_resume_are_kept_with_who_and_why(desk: Trading) -> None:
    before = await desk.all_of("/risk/changes", 50)
    for what, state in (("halt", "halted"), ("reduce", "reducing"), ("resume", "active")):
        answer = await change(desk, what)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["changed_by"], answer.json()["reason"]) == (
            state,
            "user:trader",
            WHY["reason"],
        )
        assert (await desk.get("/risk"))["state"] == state
    added = (await desk.all_of("/risk/changes", 1))[: -len(before) or None]
    assert [(one["from_state"], one["to_state"], one["by"]) for one in added] == [
        ("reducing", "active", "user:trader"),
        ("halted", "reducing", "user:trader"),
        ("active", "halted", "user:trader"),
    ]


async def test_a_change_is_told_in_the_log(desk: Trading) -> None:
    log = desk.doors.state.log
    async with desk.system.database.reading() as uow:
        last = await uow.events.last_position()
    await change(desk, "halt")
    await change(desk, "resume")
    await log.flush()
    async with desk.system.database.reading() as uow:
        told = await uow.events.after(last, [ACCOUNT], 10)
    assert [(event.kind, event.data["state"], event.data["by"]) for event in told] == [
        ("state_changed", "halted", "user:trader"),
        ("state_changed", "active", "user:trader"),
    ]


async def test_the_kill_switch_asks_for_what_it_says(desk: Trading) -> None:
    for body, asked in (({**WHY}, Withdrawal.WORKING), ({**WHY, "stops_too": True}, Withdrawal.ALL)):
        assert (await change(desk, "kill", body)).json()["withdrawal"] == asked
        async with desk.system.database.reading() as uow:
            risk = await load_risk(uow, ACCOUNT, desk.system.clock.now())
        assert (risk.trading_state, risk.withdrawal) == (TradingState.HALTED, asked)
    assert (await change(desk, "resume")).json()["withdrawal"] == "none"


async def test_losses_count_anew_from_the_worth_at_the_resume(desk: Trading) -> None:
    await change(desk, "halt")
    answer = await change(desk, "resume")
    assert answer.status_code == 200
    shown = await desk.get("/risk")
    assert number(shown["peak_equity"]).quantize(number("0.000000000001")) == number(shown["equity"])
    assert shown["changed_at"] == iso(desk.system.clock.now())


async def test_without_the_desk_braking_works_and_resuming_does_not(desk: Trading) -> None:
    async with desk.elsewhere():
        assert (await change(desk, "halt")).status_code == 200
        refused = await change(desk, "resume")
        assert (await desk.get("/risk"))["state"] == "halted"
    assert refused.status_code == 503
    assert "algotrendy serve" in refused.json()["next_step"]
    assert (await change(desk, "resume")).status_code == 200


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "   "}, {"reason": "x" * 501}, {**WHY, "force": True}])
async def test_a_change_needs_a_reason_and_nothing_else(desk: Trading, body: dict[str, Any]) -> None:
    for what in ("halt", "reduce", "resume", "kill"):
        assert (await change(desk, what, body)).status_code == 422
    assert (await desk.get("/risk"))["state"] == "active"


@pytest.mark.parametrize("user", ["viewer", "auditor"])
async def test_whoever_only_reads_cannot_brake(desk: Trading, user: str) -> None:
    for what in ("halt", "reduce", "resume", "kill"):
        assert (await change(desk, what, user=user)).status_code == 403
    assert (await desk.get("/risk", user))["state"] == "active"


async def test_the_limits_are_those_that_bind(desk: Trading) -> None:
    answer = await desk.doors.ask("GET", HERE + "/limits", "viewer")
    shown = answer.json()
    assert shown["told_by"] == "desk"
    values = {one["name"]: one["value"] for one in shown["limits"]}
    assert values["max_position"] == "0.25"
    assert values["approval_above_notional"] == "never"
    assert values["four_eyes"] == "false"
    assert set(values) == set(type(desk.system.desk.limits).model_fields)
    async with desk.elsewhere():
        there = await desk.get("/limits")
    assert there["told_by"] == "last session"
    assert there["limits"] == shown["limits"]

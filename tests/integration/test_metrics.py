"""Metrics of a real session on the paper exchange, read as a collector reads them."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from api.observability import following
from api.observability.ledger_metrics import LedgerCollector
from api.observability.run_metrics import RunMetrics
from tests.integration.observed_desk import HOURS, TOKEN, ObservedDesk, observed
from tests.unit import auth_cases
from tests.waiting import until
from trading_core.auth.roles import Role
from trading_core.domain.errors import StoreUnavailable
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Purpose
from trading_core.execution.quality import measure
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunRecord
from trading_core.persistence.repositories.runs import RunsRepository
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork


class Scrape:
    """The samples of one answer."""

    def __init__(self, families: Iterator[object]) -> None:
        self.samples = [sample for family in families for sample in family.samples]

    def all(self, name: str, **labels: str) -> list[float]:
        return [s.value for s in self.samples if s.name == f"algotrendy_{name}" and labels.items() <= s.labels.items()]

    def one(self, name: str, **labels: str) -> float:
        (value,) = self.all(name, **labels)
        return float(value)

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.all(name, **labels))


async def session(desk: ObservedDesk) -> list[str]:
    runs = [await desk.cycle(as_of) for as_of in HOURS]
    registry, done = desk.metrics.registry, {"kind": "cycle", "state": "done"}
    await until(lambda: registry.get_sample_value("algotrendy_runs_total", done) == len(runs))
    return runs


async def test_what_is_counted_is_what_the_record_says(tmp_path: Path) -> None:
    async with observed(tmp_path) as desk:
        runs = await session(desk)
        answer = await desk.scraped()
        async with desk.world.database.reading() as uow:
            trails = [await uow.runs.whole(run) for run in runs]
            (worth,) = [trail.portfolio for trail in trails if trail.run.id == runs[-1]]
            position = await uow.events.last_position()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found, account = Scrape(text(answer.text)), desk.account

    decisions = [decision for trail in trails for decision in trail.decisions]
    assert decisions
    for agent in {decision.agent for decision in decisions}:
        mine = [decision for decision in decisions if decision.agent == agent]
        assert found.sum("agent_answers_total", agent=agent) == len(mine)
        assert found.sum("model_calls_total", agent=agent, model="rules") == sum(each.model_calls for each in mine)
        assert found.one("agent_answer_duration_seconds_count", agent=agent) == len(mine)
    assert found.sum("model_tokens_total", direction="input") == sum(each.input_tokens for each in decisions)
    assert found.sum("model_cost_usd_total") == 0
    assert found.sum("tool_calls_total") >= len({(run.run.id, e.id) for run in trails for e in run.evidence})
    assert found.sum("tool_calls_total", tool="other") == 0

    said = [decision for trail in trails for intent in trail.intents for decision in intent.decisions]
    assert any(decision.verdict is Verdict.APPROVED for decision in said)
    assert found.one("gate_decisions_total", verdict="approved") >= 1
    orders = [order for trail in trails for order in trail.orders]
    assert found.sum("orders", account=account) == len(orders)
    assert found.one("orders", account=account, state="filled") == sum(o.order.state.value == "filled" for o in orders)
    assert found.one("orders_sent_total", purpose="entry") == sum(o.order.purpose is Purpose.ENTRY for o in orders)
    fills = [fill for order in orders for fill in order.fills]
    assert found.one("fills_total") == len(fills) > 0
    lost = [measure(order.order, order.fills).slippage for order in orders if order.order.state.value == "filled"]
    for bound in (-50, 0, 5, 100):
        below = sum(each is not None and each * 10_000 <= bound for each in lost)
        assert found.sum("slippage_bps_bucket", le=f"{bound}.0") == below
    assert found.sum("slippage_bps_count") == len(lost) > 0

    assert worth is not None
    assert found.one("account_equity", account=account, currency="USDT") == pytest.approx(float(worth.equity))
    assert found.one("account_exposure", account=account) == pytest.approx(float(worth.equity - worth.cash))
    assert found.one("trading_state", account=account, state="active") == 1
    assert found.one("trading_state", account=account, state="halted") == 0
    ended = trails[-1].run.ended_at
    assert ended is not None
    assert found.one("last_cycle_timestamp_seconds", account=account) == pytest.approx(ended.timestamp())
    assert found.sum("runs_open", account=account) == 0
    assert found.one("desk_held", account=account) == 1
    assert found.one("event_log_position") == position
    assert found.one("event_log_lag_events") == 0
    assert found.one("run_duration_seconds_count", kind="cycle") == len(runs)
    assert found.one("database_connections", state="in_use") >= 0
    assert found.one("build_info") == 1


async def test_an_event_that_cannot_be_counted_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = RunMetrics.count

    def troubled(self: RunMetrics, event: StoredEvent) -> None:
        if event.kind == "snapshot_taken":
            raise ValueError(event.kind)
        count(self, event)

    monkeypatch.setattr(RunMetrics, "count", troubled)
    async with observed(tmp_path) as desk:
        runs = await session(desk)
        assert Scrape(text((await desk.scraped()).text)).one("events_total", kind="run_done") == len(runs)


async def test_an_event_that_is_read_again_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger goes away for a moment, just when a run has told its end."""
    get, left = RunsRepository.get, 1

    async def troubled(self: RunsRepository, run_id: str) -> RunRecord | None:
        nonlocal left
        task = asyncio.current_task()
        if left and task is not None and task.get_name() == "metrics: counting":
            left -= 1
            raise StoreUnavailable("the database does not answer")
        return await get(self, run_id)

    monkeypatch.setattr(RunsRepository, "get", troubled)
    monkeypatch.setattr(following, "_AGAIN_SECONDS", 0.01)
    async with observed(tmp_path) as desk:
        runs = await session(desk)
        assert Scrape(text((await desk.scraped()).text)).one("events_total", kind="run_done") == len(runs)
    assert left == 0


async def test_requests_are_counted_by_template_and_shown_in_both_forms(tmp_path: Path) -> None:
    async with observed(tmp_path) as desk:
        for path in ("/api/v1/health/live", "/api/v1/health/live", "/nothing/at/all", "/api/v1/users/somebody"):
            await desk.client.get(path)
        plain = Scrape(text((await desk.scraped()).text))
        answer = await desk.scraped("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = Scrape(openmetrics(answer.text))
    assert found.one("http_requests_total", route="/api/v1/health/live", status="200") == 2
    assert found.one("http_requests_total", route="unmatched", status="404") == 1
    assert not any("somebody" in value for sample in found.samples for value in sample.labels.values())
    assert found.one("http_request_duration_seconds_count", route="/api/v1/health/live") == 2
    assert plain.one("http_requests_total", route="/api/v1/health/live", status="200") == 2


async def test_labels_have_few_values(tmp_path: Path) -> None:
    """No symbol, id, user or free text: whoever can make those up could make time series without end."""
    async with observed(tmp_path) as desk:
        await session(desk)
        found = Scrape(text((await desk.scraped()).text))
    values = {value for sample in found.samples for value in sample.labels.values()}
    assert not [value for value in values if "USDT" in value and value != "USDT"]
    assert not [value for value in values if re.fullmatch(r"at[0-9a-f]{16}|[0-9a-f]{32,}|cycle-\d\d", value)]
    assert len(found.samples) < 1_000


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics"])
async def test_who_may_read_them(tmp_path: Path, path: str) -> None:
    async with observed(tmp_path) as desk:
        await desk.world.user("auditor", Role.AUDITOR)
        await desk.world.user("viewer", Role.VIEWER)
        logins = desk.world.auth.logins
        tokens = {
            name: (await logins.login(name, auth_cases.PASSWORD)).access.get_secret_value() for name in ("auditor", "viewer")
        }

        async def status(**headers: str) -> int:
            return (await desk.client.get(path, headers=headers)).status_code

        assert await status() == 401
        assert await status(authorization=f"Bearer {TOKEN}x") == 401
        assert await status(authorization=f"Bearer {TOKEN[:-1]}") == 401
        assert await status(authorization=f"Basic {TOKEN}") == 401
        assert await status(authorization="Bearer ") == 401
        assert await status(authorization=f"Bearer {TOKEN}") == 200
        assert await status(authorization=f"Bearer {tokens['auditor']}") == 200
        assert await status(authorization=f"Bearer {tokens['viewer']}") == 403


@pytest.mark.parametrize(
    ("allowed", "address", "headers", "status"),
    [
        (True, "127.0.0.1", {}, 200),
        (True, "::1", {}, 200),
        (True, "203.0.113.9", {}, 401),
        (True, "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, 401),
        (True, "127.0.0.1", {"forwarded": "for=203.0.113.9"}, 401),
        (False, "127.0.0.1", {}, 401),
    ],
)
async def test_the_machine_itself_may_where_the_settings_say_so(
    tmp_path: Path, allowed: bool, address: str, headers: dict[str, str], status: int
) -> None:
    async with observed(tmp_path, client=(address, 1), metrics_token=None, metrics_on_loopback=allowed) as desk:
        assert (await desk.client.get("/metrics", headers=headers)).status_code == status


class Troubled:
    """A ledger that answers once, and then cannot be reached."""

    def __init__(self, database: Database) -> None:
        self.database, self.gone = database, False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[UnitOfWork]:
        if self.gone:
            raise StoreUnavailable("the database does not answer")
        async with self.database.reading() as uow:
            yield uow


async def test_the_ledger_is_read_at_most_every_five_seconds_and_leaves_no_old_numbers(tmp_path: Path) -> None:
    async with observed(tmp_path) as desk:
        ledger, now = Troubled(desk.world.database), [0.0]
        collector = LedgerCollector(ledger, lambda: None, lambda: now[0])

        async def read(at: float) -> list[str]:
            now[0] = at
            await collector.refresh()
            return [family.name for family in collector.collect()]

        await desk.cycle(HOURS[0])
        assert "algotrendy_account_equity" in await read(0.0)
        ledger.gone = True
        assert "algotrendy_account_equity" in await read(4.9), "one reading serves all who scrape meanwhile"
        assert await read(5.1) == ["algotrendy_ledger_read_failures"]
        assert await read(5.2) == ["algotrendy_ledger_read_failures"], "a failed one is tried again at once"
        ledger.gone = False
        assert "algotrendy_account_equity" in await read(5.3)
    failures = next(iter(collector.collect())).samples
    assert failures[0].value == 2


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, which comes with Prometheus, is not installed")
async def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    async with observed(tmp_path) as desk:
        await session(desk)
        content = (await desk.scraped()).content
    checked = await asyncio.create_subprocess_exec("promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    said, _ = await checked.communicate(content)
    assert checked.returncode == 0, said.decode()

"""The whole cycle with a real HTTP model endpoint, and everything that such an endpoint can do wrong."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graph.config import SessionConfig
from graph.report import export
from graph.session import trade
from tests.integration.worlds import ENTRY, HOUR, against, config, opened, trail, trails
from tests.model_server import Body, Fault, ModelServer, Reply, faults
from tests.rules_brain import asked_of, changed, rules_brain
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import Outcome, RunState


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(brain=rules_brain) as running:
        yield running


def only(schema: str, fault: Fault, times: int | None = None) -> Callable[[Body], Fault | None]:
    """A fault in the answers of one agent, always or the first few times."""
    left: Iterator[int] = itertools.count() if times is None else iter(range(times))

    def choose(body: Body) -> Fault | None:
        return fault if asked_of(body)[0] == schema and next(left, None) is not None else None

    return choose


async def test_the_same_decisions_as_the_rules_in_the_process(server: ModelServer, tmp_path: Path) -> None:
    remote = config(model=against(server.base_url))
    exports = []
    for home, settings in (("rules", config()), ("http", remote)):
        async with opened(tmp_path / home, settings) as system:
            async for _ in trade(system):
                pass
            exports.append(await export(system))
    # Up to the first order nothing differs. After it the exchange's bad luck does: it is drawn from the order's id, which is
    # made from the session, which names its model.
    here, there = ([_decided(run) for run in told["runs"][:2]] for told in exports)
    assert here == there
    assert any("enter" in str(run) for run in here)
    assert all(request.prompt_tokens < 10_000 for request in server.requests)


def _decided(run: dict[str, Any]) -> list[tuple[object, ...]]:
    return [(item["agent"], item["subject"], item["outcome"], item["answer"], item["grounded"]) for item in run["decisions"]]


def _every_symbol_at_once(settings: SessionConfig) -> Callable[[Body], tuple[str, int]]:
    def group(body: Body) -> tuple[str, int]:
        schema, symbol = asked_of(body)
        return schema, len(settings.symbols) if symbol else 1

    return group


async def test_one_call_per_agent_and_none_on_the_unchanged_snapshot(server: ModelServer, tmp_path: Path) -> None:
    settings = config(model=against(server.base_url), start=ENTRY, cycles=1)
    server.side_by_side = _every_symbol_at_once(settings)
    async with opened(tmp_path, settings) as system:
        (first,) = [result async for result in trade(system)]
    assert first.state is RunState.DONE
    asked = sorted(asked_of(request.body) for request in server.requests)
    markets = [("MarketView", symbol) for symbol in settings.symbols]
    signals = [("Signal", symbol) for symbol in settings.symbols]
    assert asked == sorted([*markets, *signals, ("RiskPlan", ""), ("ExecutionPlan", "")])
    assert server.depth == 4
    server.requests.clear()
    # The same session from an empty ledger: the account and the market are what they were, so every answer is known.
    for name in ("ledger.db", "checkpoints.db", "paper.db"):
        for file in (tmp_path / "simulations" / settings.session_id).glob(f"{name}*"):
            file.unlink()
    async with opened(tmp_path, settings) as system:
        (again,) = [result async for result in trade(system)]
        kept = await trail(system, again.run_id)
    assert server.requests == []
    assert all(decision.reused for decision in kept.decisions)
    assert any(order.order.purpose is Purpose.ENTRY for order in kept.orders)


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (faults.status(429, retry_after=0), 1),
        (faults.status(500), 1),
        (faults.reset, 1),
        (faults.truncated_answer, 1),
        (faults.wrong_schema, 1),
        (faults.empty, 1),
        (faults.prose, 1),
    ],
    ids=lambda value: getattr(value, "name", None) or str(value),
)
async def test_a_passing_fault_ends_in_a_retry_or_a_repair(server: ModelServer, tmp_path: Path, fault: Fault, times: int) -> None:
    server.misbehave(only("Signal", fault, times))
    async with opened(tmp_path, config(model=against(server.base_url), start=ENTRY, cycles=1)) as system:
        (result,) = [result async for result in trade(system)]
        kept = await trail(system, result.run_id)
    assert result.state is RunState.DONE
    assert all(decision.outcome is Outcome.ANSWERED for decision in kept.decisions)
    assert any(order.order.purpose is Purpose.ENTRY for order in kept.orders)


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429, retry_after=0),
        faults.status(500),
        faults.status(401),
        faults.reset,
        faults.broken_json,
        faults.truncated_answer,
        faults.wrong_schema,
        faults.empty,
        faults.prose,
        faults.refusal,
        faults.hang(5),
        faults.endless_tool_calls,
        faults.unknown_tool,
        faults.html_page,
    ],
    ids=lambda fault: getattr(fault, "name", str(fault)),
)
@pytest.mark.parametrize(
    # The way from an answer that fails to an abstention is the same for every agent: two show it here, and all in the slow suite.
    "schema",
    [
        "Signal",
        "RiskPlan",
        pytest.param("MarketView", marks=pytest.mark.slow),
        pytest.param("ExecutionPlan", marks=pytest.mark.slow),
    ],
)
async def test_a_lasting_fault_ends_in_an_abstention_that_the_record_explains(
    server: ModelServer, tmp_path: Path, fault: Fault, schema: str
) -> None:
    server.misbehave(only(schema, fault))
    settings = config(model=against(server.base_url, timeout=0.3, max_retries=0), start=ENTRY, cycles=1)
    async with opened(tmp_path, settings) as system:
        (result,) = [result async for result in trade(system)]
        kept = await trail(system, result.run_id)
    assert result.state is RunState.DONE, result.error
    failed = [decision for decision in kept.decisions if decision.answer is None]
    assert failed
    assert all(decision.outcome is Outcome.ABSTAINED and decision.reason for decision in failed)
    assert kept.orders == (), "nothing trades on a guess"


async def test_an_unreachable_endpoint_trades_nothing(tmp_path: Path) -> None:
    settings = config(model=against("http://127.0.0.1:9/v1", max_retries=0), start=ENTRY, cycles=1)
    async with opened(tmp_path, settings) as system:
        (result,) = [result async for result in trade(system)]
        kept = await trail(system, result.run_id)
    assert result.state is RunState.DONE
    assert all(decision.outcome is Outcome.ABSTAINED for decision in kept.decisions)
    assert kept.orders == ()


async def test_invented_numbers_inform_but_do_not_trade(server: ModelServer, tmp_path: Path) -> None:
    def inventive(body: Body) -> Reply:
        reply = rules_brain(body)
        return changed(reply, reason="RSI is 12.34 and that is all I need.") if asked_of(body)[0] == "Signal" else reply

    server.brain = inventive
    async with opened(tmp_path, config(model=against(server.base_url), start=ENTRY, cycles=1)) as system:
        (result,) = [result async for result in trade(system)]
        kept = await trail(system, result.run_id)
    signals = [decision for decision in kept.decisions if decision.agent == "signal"]
    assert signals
    assert all(not decision.grounded and "12.34" in decision.problems[0] for decision in signals)
    assert kept.intents == ()


async def test_a_model_cannot_talk_the_core_into_a_larger_order(server: ModelServer, tmp_path: Path) -> None:
    def greedy(body: Body) -> Reply:
        reply = rules_brain(body)
        if asked_of(body)[0] != "RiskPlan":
            return reply
        verdicts = [{**verdict, "risk_fraction": 0.1} for verdict in json.loads(reply.text or "")["verdicts"]]
        return changed(reply, verdicts=verdicts)

    server.brain = greedy
    async with opened(tmp_path, config(model=against(server.base_url), start=ENTRY, cycles=1)) as system:
        (result,) = [result async for result in trade(system)]
        kept = await trail(system, result.run_id)
        limits = system.desk.limits
    (entry,) = [order.order for order in kept.orders if order.order.purpose is Purpose.ENTRY]
    assert entry.request.limit_price is not None
    assert entry.request.quantity * entry.request.limit_price <= limits.max_order_notional
    assert entry.request.quantity * entry.request.limit_price <= 100_000 * limits.max_position


async def test_ten_symbols_go_no_deeper_than_one(server: ModelServer, tmp_path: Path) -> None:
    from data_channels.market.synthetic import SyntheticFeed
    from trading_core.domain.market import Timeframe

    symbols = tuple(f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "TRX", "BCH", "LTC"))
    feed = SyntheticFeed(2, symbols, Timeframe("1h"), ENTRY - 310 * HOUR, ENTRY + 10 * HOUR)
    settings = config(symbols=symbols, model=against(server.base_url), start=ENTRY, cycles=1)
    server.side_by_side = _every_symbol_at_once(settings)
    async with opened(tmp_path, settings, feed=feed) as system:
        assert [result.state async for result in trade(system)] == [RunState.DONE]
        assert len(await trails(system)) == 1
    assert server.depth == 4
    assert server.max_concurrency >= 10

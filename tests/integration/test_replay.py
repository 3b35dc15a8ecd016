"""Recorded runs decided again: nothing differs under the same, every difference is told, and the ledger stays as it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from typer.testing import CliRunner

from agents.models.openai_compatible import build, describe, http_pool
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.models.spec import ModelSettings
from api.commands.replay import replay as command
from evals.prices import Price
from evals.prompts import load_roster
from evals.read_only import open_read_only
from evals.recorded import History
from evals.replay import Alternative, Replayed, replay
from evals.replay_totals import Totals, chosen
from graph.config import SessionConfig
from graph.folders import Folders
from graph.markets import make_feed
from graph.session import trade
from graph.system import TradingSystem
from tests.model_server import ModelServer
from trading_core.domain.clock import iso
from trading_core.domain.errors import ConfigurationError, RunError, StoreUnavailable
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import RunState
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

FEW, MANY = 14, 100
"""Cycles. In the few there are two entries and an exit; the many are what a day's work looks like."""


def config(cycles: int = FEW, **changes: Any) -> SessionConfig:
    return SessionConfig.parse(
        {
            "symbols": ("BTC/USDT", "ETH/USDT"),
            "seed": 182,
            "cycles": cycles,
            "limits": {"approval_above_notional": None},
            **changes,
        }
    )


class Session(NamedTuple):
    """A recorded session, and the home folder that it is in."""

    home: Path
    settings: SessionConfig

    @property
    def ledger(self) -> Path:
        return Path(str(Folders.of(self.home, self.settings).ledger))


@pytest.fixture(scope="module", params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=lambda cycles: f"{cycles}-cycles")
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = Session(tmp_path_factory.mktemp("recorded"), config(request.param))
    with ThreadPoolExecutor(1) as thread:  # the test that comes first may have an event loop of its own
        thread.submit(asyncio.run, record(*session)).result()
    return session


async def record(home: Path, settings: SessionConfig) -> None:
    async with TradingSystem.open(settings, home) as system:
        results = [result async for result in trade(system)]
    assert len(results) == settings.cycles
    assert {result.state for result in results} == {RunState.DONE}


def fingerprint(ledger: Path) -> str:
    """Of the file and its write-ahead log, which must not have anything that is not in the file."""
    log = ledger.with_name(f"{ledger.name}-wal")
    return hashlib.sha256(ledger.read_bytes() + (log.read_bytes() if log.exists() else b"")).hexdigest()


@asynccontextmanager
async def history_of(session: Session) -> AsyncIterator[History]:
    async with await open_read_only(session.ledger) as ledger:
        yield await History.read(ledger, session.settings.session_id, session.settings, make_feed(session.settings))


async def replayed(session: Session, alternative: Alternative, most: int | None = None) -> list[Replayed]:
    before = fingerprint(session.ledger)
    async with history_of(session) as history:
        ids = chosen(history, None)[:most]
        feed = make_feed(session.settings)
        found = [one async for one in replay(history, ids, alternative, feed, horizon=4)]
    assert fingerprint(session.ledger) == before
    return found


class FollowsItsPrompt(RulesModel):
    """Decides by the rules, but holds where its prompt says `HOLD EVERYTHING`. It counts the times that it was asked."""

    asked: list[str]

    def _answer(self, messages: list[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        told = super()._answer(messages, bound)
        prompt = next((str(one.content) for one in messages if isinstance(one, SystemMessage)), "")
        self.asked.append(str(bound.get("response_format", {}).get("json_schema", {}).get("name")))
        if "HOLD EVERYTHING" not in prompt or told.tool_calls:
            return told
        answer = json.loads(str(told.content))
        if "action" in answer:
            answer |= {"action": "hold", "stop_price": None, "limit_price": None, "order_type": "market"}
        return AIMessage(json.dumps(answer), usage_metadata={"input_tokens": 100, "output_tokens": 10, "total_tokens": 110})


async def test_the_same_model_prompt_and_limits_change_nothing(recorded: Session) -> None:
    model = FollowsItsPrompt(asked=[])
    again = await replayed(recorded, Alternative(model, RULES_MODEL_NAME))
    assert len(again) == recorded.settings.cycles
    assert [iso(one.run.as_of) for one in again if one.differs] == []
    assert not model.asked, "every recorded answer stood"
    assert {change.after.purpose for one in again for change in one.changes} >= {Purpose.ENTRY, Purpose.EXIT}


async def test_asked_anew_the_rules_say_the_same(recorded: Session) -> None:
    """Nothing is taken from the record but what was known: the gate's numbers come out the same from folded state."""
    model = FollowsItsPrompt(asked=[])
    again = await replayed(recorded, Alternative(model, "another name"))
    assert [change for one in again for change in one.changes if change.differs] == []
    assert len(model.asked) > len(again)
    assert all(one.bars_at_hand and not one.reused for one in again)


async def test_a_changed_prompt_is_followed_and_every_difference_told(recorded: Session, tmp_path: Path) -> None:
    (tmp_path / "signal.md").write_text("You are the signal agent. HOLD EVERYTHING.\n")
    roster = load_roster(tmp_path)
    price = Price(Decimal(1), Decimal(10))
    again = await replayed(recorded, Alternative(FollowsItsPrompt(asked=[]), RULES_MODEL_NAME, roster, price=price))
    changes = [change for one in again for change in one.changes]
    acted = [change for change in changes if change.before.said in ("enter", "exit")]
    assert acted
    assert all(change.after.said == "hold" and change.differs and not change.after.sent for change in acted)
    assert all(not change.differs for change in changes if change.before.said == "hold")
    assert all(one.reused >= len(one.changes) for one in again), "the views, whose prompt is the same, stood"
    totals = Totals()
    for one in again:
        totals.add(one)
    assert totals.differ == len({one.run.id for one in again if any(change in acted for change in one.changes)})
    assert totals.words["enter", "hold"] == sum(change.before.said == "enter" for change in acted)
    assert totals.cost == Decimal(totals.tokens) * (100 + 10 * 10) / 110 / 1_000_000
    sent = [change for change in acted if change.before.sent and change.followed]
    assert sent
    # A purchase that was left out costs what the price then rose by, and saves what it fell by; a sale the other way round.
    assert all((change.worth or 0) * change.before.quantity * Decimal(change.followed or 0) < 0 for change in sent)
    assert totals.worth == sum(change.worth for change in sent if change.worth is not None)


async def test_a_changed_limit_set_changes_sizes_and_verdicts_only(recorded: Session) -> None:
    limits = LimitsBook(desk=Limits(approval_above_notional=None, risk_per_trade=Decimal("0.002"), max_positions=1))
    again = await replayed(recorded, Alternative(FollowsItsPrompt(asked=[]), RULES_MODEL_NAME, limits=limits))
    changes = [change for one in again for change in one.changes]
    assert all(change.before.said == change.after.said for change in changes)
    entries = [change for change in changes if change.before.purpose is Purpose.ENTRY and change.before.sent]
    assert entries
    assert all(change.after.quantity < change.before.quantity or not change.after.sent for change in entries)
    exits = [change for change in changes if change.before.purpose is Purpose.EXIT]
    assert exits
    assert not any(change.differs for change in exits), "limits do not keep anybody from getting out"
    assert all(one.reused >= one.asked - 2 for one in again), "only the agents that were shown the limits were asked again"


async def test_approval_limits_show_as_waiting(recorded: Session) -> None:
    limits = LimitsBook(desk=Limits(approval_above_notional=Decimal(1)))
    again = await replayed(recorded, Alternative(RulesModel(), RULES_MODEL_NAME, limits=limits))
    waiting = [c.after for one in again for c in one.changes if c.before.purpose is Purpose.ENTRY and c.before.sent]
    assert waiting
    assert {standing.verdict for standing in waiting} <= {Verdict.NEEDS_APPROVAL, Verdict.DENIED}
    assert not any(standing.sent for standing in waiting)


async def test_another_model_over_http_decides_the_recorded_runs(recorded: Session) -> None:
    """A model that abstains from everything, behind a real endpoint; its failures are told and change nothing else."""
    with ModelServer() as server:
        model = ModelSettings(model="openai:scripted", base_url=server.base_url)
        async with http_pool() as pool:
            chat = build(model, pool)
            again = await replayed(recorded, Alternative(chat, describe(chat), price=None), most=4)
        assert len(server.requests) >= 8
    assert all(one.cost is None and not one.reused and one.tokens[1] > 0 for one in again)


async def test_a_run_without_its_bars_is_decided_from_its_evidence(recorded: Session) -> None:
    other = make_feed(config(seed=7))  # another market: its bars are not what the runs saw
    async with await open_read_only(recorded.ledger) as ledger:
        history = await History.read(ledger, recorded.settings.session_id, recorded.settings, other)
        ids = chosen(history, None)[:20]
        again = [one async for one in replay(history, ids, Alternative(RulesModel(), "another name"), other)]
    assert not any(one.bars_at_hand for one in again)
    assert not any(one.failed for one in again)
    assert [change for one in again for change in one.changes if change.before.said != change.after.said] == []


async def test_the_database_itself_refuses_to_be_written_to(recorded: Session) -> None:
    async with await open_read_only(recorded.ledger) as ledger:
        async with ledger.reading() as uow:
            run = (await uow.runs.recent(1))[0]
        with pytest.raises(StoreUnavailable, match="readonly"):
            async with ledger.reading() as uow:
                await uow.runs.set_snapshot(run.id, str(run.snapshot_hash))
        with pytest.raises(StoreUnavailable, match="for reading"):
            async with ledger.transaction():
                raise AssertionError("a transaction was begun")


async def test_what_is_not_there_is_said(recorded: Session, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no ledger"):
        await open_read_only(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigurationError, match="revision None"):
        await open_read_only(tmp_path / "empty.db")
    async with history_of(recorded) as history:
        with pytest.raises(RunError):
            await history.recorded("nothing")


def test_the_command_tells_what_would_have_changed(recorded: Session) -> None:
    app = typer.Typer()
    app.command("replay")(command)
    before, called = fingerprint(recorded.ledger), CliRunner()
    options = ["--since", "2025-03-03", "--horizon", "4", "--limit", "risk_per_trade=0.001"]
    told = called.invoke(app, options, obj=recorded.home, env={"COLUMNS": "160"})
    assert told.exit_code == 0, told.output
    assert f"{recorded.settings.cycles} runs from 2025-03-03 00:00" in told.output
    assert "said" in told.output
    document = json.loads(called.invoke(app, ["last", "--json"], obj=recorded.home).stdout)
    assert [run["differs"] for run in document["runs"]] == [False]
    nothing = called.invoke(app, ["no-such-run"], obj=recorded.home)
    assert isinstance(nothing.exception, RunError)
    assert fingerprint(recorded.ledger) == before


async def test_prompts_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no prompt"):
        load_roster(tmp_path)
    (tmp_path / "trader.md").write_text("buy")
    with pytest.raises(ConfigurationError, match="trader"):
        load_roster(tmp_path)
    assert load_roster(None)["signal"].prompt_hash == load_roster(_copied(tmp_path))["signal"].prompt_hash


def _copied(folder: Path) -> Path:
    """The desk's own prompts, elsewhere: the same text is the same prompt."""
    own = Path(__file__).parents[2] / "agents" / "prompts"
    target = folder / "copy"
    target.mkdir()
    for path in own.glob("*.md"):
        (target / path.name).write_bytes(path.read_bytes())
    return target

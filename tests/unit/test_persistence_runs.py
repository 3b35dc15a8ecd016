"""Conformance of the run ledger: sessions, runs, snapshots, decisions, evidence, answers. The same on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from trading_core.domain.errors import InvalidInput, LedgerError, RunError
from trading_core.domain.money import plain
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import (
    AnswerRecord,
    DecisionRecord,
    EvidenceRecord,
    Outcome,
    RunKind,
    RunRecord,
    RunState,
    SessionRecord,
)
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
RUN = RunRecord("r1", "paper", RunKind.CYCLE, AT, AT, session_id="s1")
DECISION = DecisionRecord(
    run_id="r1",
    agent="signal",
    subject="BTC/USDT",
    outcome=Outcome.ANSWERED,
    created_at=AT,
    reused=True,
    answer={"action": "buy", "confidence": 0.7, "levels": ["1E-18", None]},
    reason="trend – up",
    grounded=True,
    problems=("0.7 has no evidence",),
    evidence=("e1", "e2"),
    model="rules",
    prompt_hash="p",
    input_hash="i",
    model_calls=1,
    repairs=1,
    input_tokens=1200,
    output_tokens=80,
    seconds=0.25,
)
EVIDENCE = EvidenceRecord("r1", "e1", "signal", "BTC/USDT", "bars", {"n": 3}, [{"close": "0.10"}], AT)


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened("paper", "USDT", Decimal(1000)), "paper", AT)
            await uow.sessions.add(SessionRecord("s1", {"symbols": ["BTC/USDT"], "seed": 7}, AT))
        yield database


async def test_a_session_comes_back_as_written(database: Database) -> None:
    async with database.reading() as uow:
        assert await uow.sessions.get("s1") == SessionRecord("s1", {"symbols": ["BTC/USDT"], "seed": 7}, AT)
        assert await uow.sessions.get("other") is None


async def test_a_session_is_written_once(database: Database) -> None:
    with pytest.raises(LedgerError, match="sessions"):
        async with database.transaction() as uow:
            await uow.sessions.add(SessionRecord("s1", {}, AT))


async def test_starting_a_run_twice_gives_the_run_as_it_stands(database: Database) -> None:
    async with database.transaction() as uow:
        assert await uow.runs.start(RUN) == RUN
        await uow.runs.set_state("r1", RunState.WAITING, at=AT)
    async with database.transaction() as uow:
        later = replace(RUN, started_at=AT + timedelta(hours=1))
        assert await uow.runs.start(later) == replace(RUN, state=RunState.WAITING)
        assert await uow.runs.recent(10) == (replace(RUN, state=RunState.WAITING),)


@pytest.mark.parametrize("change", [{"as_of": AT + timedelta(days=1)}, {"kind": RunKind.REBALANCE}, {"session_id": None}])
async def test_a_run_id_is_bound_to_its_payload(database: Database, change: dict[str, object]) -> None:
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        with pytest.raises(RunError, match="'r1' is on record with another payload"):
            await uow.runs.start(replace(RUN, **change))
        assert await uow.runs.get("r1") == RUN


async def test_a_run_needs_its_account(database: Database) -> None:
    with pytest.raises(LedgerError, match=r"(?i)foreign key"):
        async with database.transaction() as uow:
            await uow.runs.start(replace(RUN, account_id="nobody"))


async def test_the_end_of_a_run_is_kept_and_a_resumed_run_has_none(database: Database) -> None:
    end = AT + timedelta(seconds=3)
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        await uow.runs.set_state("r1", RunState.FAILED, at=end, error="feed out of reach")
        assert await uow.runs.get("r1") == replace(RUN, state=RunState.FAILED, ended_at=end, error="feed out of reach")
        await uow.runs.set_state("r1", RunState.RUNNING, at=end)
        assert await uow.runs.get("r1") == RUN
        with pytest.raises(RunError, match="'r2' is not on record"):
            await uow.runs.set_state("r2", RunState.DONE, at=end)


async def test_runs_are_told_in_the_order_they_were_started(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.sessions.add(SessionRecord("s2", {}, AT))
        for name in ("c", "a", "b"):  # one instant: only the order of starting tells them apart
            await uow.runs.start(replace(RUN, id=name))
        await uow.runs.start(replace(RUN, id="z", session_id="s2"))
        await uow.runs.set_state("a", RunState.DONE, at=AT)
        assert [run.id for run in await uow.runs.recent(2)] == ["z", "b"]
        assert [run.id for run in await uow.runs.recent(9, "s1")] == ["b", "a", "c"]
        assert [run.id for run in await uow.runs.in_state("s1", RunState.RUNNING, RunState.WAITING)] == ["c", "b"]
        last = await uow.runs.last("s1")
        assert last is not None
        assert last.id == "b"
        assert await uow.runs.last("nothing") is None


async def test_a_run_keeps_the_snapshot_it_began_with(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        for snapshot in ("h1", "h2", "h1"):
            await uow.snapshots.put(snapshot, AT, {"cash": "0.10"})
        await uow.runs.set_snapshot("r1", "h1")
        await uow.runs.set_snapshot("r1", "h1")
        with pytest.raises(RunError, match="already decides on snapshot 'h1'"):
            await uow.runs.set_snapshot("r1", "h2")
        kept = await uow.snapshots.get("h1")
        assert kept is not None
        assert (kept.hash, kept.as_of, kept.content) == ("h1", AT, {"cash": "0.10"})


async def test_a_decision_comes_back_as_written_and_is_replaced_by_the_next(database: Database) -> None:
    abstained = replace(DECISION, outcome=Outcome.ABSTAINED, answer=None, reason="timeout")
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        await uow.decisions.put(DECISION)
    async with database.transaction() as uow:
        assert await uow.decisions.get("r1", "signal", "BTC/USDT") == DECISION
        await uow.decisions.put(abstained)
        await uow.decisions.put_many([replace(DECISION, agent="risk"), replace(DECISION, subject="AVAX/USDT")])
    async with database.reading() as uow:
        found = await uow.decisions.of_run("r1")
        assert found == (replace(DECISION, agent="risk"), replace(DECISION, subject="AVAX/USDT"), abstained)
        assert await uow.decisions.of_input("i") == found
        assert await uow.decisions.of_input("other") == ()


async def test_evidence_is_written_once_and_never_changes(database: Database) -> None:
    more = [EVIDENCE, replace(EVIDENCE, id="e2", result=None), replace(EVIDENCE, id="e3", result={"n": 1.5})]
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        await uow.evidence.put_many([])
        await uow.evidence.put_many([EVIDENCE])
        await uow.evidence.put_many(more)
        await uow.evidence.put_many([replace(EVIDENCE, created_at=AT + timedelta(days=1))])
        assert await uow.evidence.of_run("r1") == tuple(more)
        with pytest.raises(LedgerError, match="'e1' of run 'r1' is on record with another content"):
            await uow.evidence.put_many([replace(EVIDENCE, result="other")])
        assert await uow.evidence.of_run("r1") == tuple(more)


async def test_evidence_that_json_cannot_keep_is_refused(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as uow:
            await uow.runs.start(RUN)
            await uow.evidence.put_many([replace(EVIDENCE, result=Decimal(1))])

    with pytest.raises(InvalidInput, match="Decimal"):
        await write()
    async with database.reading() as uow:
        assert await uow.runs.get("r1") is None


async def test_the_first_answer_under_a_key_stays(database: Database) -> None:
    answer = AnswerRecord("k", "signal", "rules", Outcome.ANSWERED, {"action": "hold"}, {"input_tokens": 3}, AT)
    async with database.transaction() as uow:
        assert await uow.answers.get("k") is None
        assert await uow.answers.put(answer)
        assert not await uow.answers.put(replace(answer, answer={"action": "buy"}))
        assert await uow.answers.get("k") == answer


async def test_an_error_leaves_nothing_of_its_transaction(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as uow:
            await uow.runs.start(RUN)
            await uow.decisions.put(DECISION)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.reading() as uow:
        assert await uow.runs.recent(10) == ()
        assert await uow.decisions.of_run("r1") == ()


@pytest.mark.parametrize(
    "text", ["a\0b", "\0", "\ud800 lone", "\x10", "\x100000", "\x1b[31m", "😀 – ü", "'; DROP TABLE runs; --", "\\u0000"]
)
async def test_whatever_a_venue_or_a_model_says_is_kept_as_it_was_said(database: Database, text: str) -> None:
    said = replace(DECISION, reason=text, subject=text, problems=(text,), answer={text: [text]}, input_hash=text)
    async with database.transaction() as uow:
        await uow.runs.start(replace(RUN, id=text))
        await uow.runs.set_state(text, RunState.FAILED, at=AT, error=text)
        await uow.decisions.put(replace(said, run_id=text))
        await uow.evidence.put_many([replace(EVIDENCE, run_id=text, id=text, arguments={"q": text}, result=text)])
    async with database.reading() as uow:
        run = await uow.runs.get(text)
        assert run is not None
        assert (run.id, run.error) == (text, text)
        assert await uow.decisions.of_input(text) == (replace(said, run_id=text),)
        (evidence,) = await uow.evidence.of_run(text)
        assert (evidence.id, evidence.arguments, evidence.result) == (text, {"q": text}, text)


@pytest.mark.parametrize(
    "amount", ["0.1", "1E-18", "-0.000000000000000001", "123456789012345678901234567890.123456789012345678", "1E+30", "100000"]
)
async def test_amounts_come_back_to_the_last_digit_in_one_form(database: Database, amount: str) -> None:
    opened = Portfolio.opened("exact", "USDT", Decimal(amount))
    async with database.transaction() as uow:
        await uow.portfolios.open_account(opened, "paper", AT)
        found = await uow.portfolios.load("exact")
    assert found == opened
    assert str(found.deposited) == str(Decimal(plain(Decimal(amount))))


async def test_instants_come_back_to_the_microsecond_in_utc(database: Database) -> None:
    written = AT.replace(microsecond=999_999).astimezone(timezone(timedelta(hours=-11, minutes=-30)))
    async with database.transaction() as uow:
        await uow.runs.start(replace(RUN, as_of=written))
        found = await uow.runs.get("r1")
    assert found is not None
    assert found.as_of == written
    assert found.as_of.tzinfo is UTC


async def test_ties_are_ordered_by_code_point(database: Database) -> None:
    names = ["BTC/USDT", "btc/usdt", "B-T", "BT", "ÄTC", "_x", "1INCH/USDT"]
    async with database.transaction() as uow:
        await uow.runs.start(RUN)
        await uow.decisions.put_many([replace(DECISION, subject=name) for name in names])
        found = await uow.decisions.of_run("r1")
    assert [decision.subject for decision in found] == sorted(names)

"""Conversations, proposals, schedules, pauses, agents' settings, kept answers and leases. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.desk_rows import (
    AT,
    LATER,
    SECOND,
    conversation,
    message,
    open_account,
    pause,
    proposal,
    schedule,
)
from trading_core.domain.errors import ApprovalError, LedgerError
from trading_core.persistence.desk_records import (
    AgentSettings,
    Budget,
    KeptAnswer,
    Lease,
    Misfire,
    Overlap,
    PauseKind,
    ProposalState,
)
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

OLGA = "user:olga"


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await open_account(uow, "a", "b")
        yield database


async def at_once(database: Database, location: str, what: Callable[[UnitOfWork, int], Awaitable[object]]) -> list[object]:
    """What eight callers get, over two databases that are open on the same place."""

    async def one(own: Database, number: int) -> object:
        async with own.transaction() as uow:
            return await what(uow, number)

    async with await Database.open(location) as other:
        return list(await asyncio.gather(*(one((database, other)[number % 2], number) for number in range(8))))


async def test_conversations_come_back_and_the_last_one_used_is_listed_first(database: Database) -> None:
    async with database.transaction() as uow:
        for number, name in enumerate(["c1", "c2", "c3", "c4"]):
            await uow.conversations.add(conversation(name, at=AT + min(number, 2) * SECOND))
        await uow.conversations.add(conversation("hers", owner="user:ida"))
        assert await uow.conversations.get("c1") == conversation("c1")
        assert await uow.conversations.get("?") is None
        assert (await uow.conversations.touch("c1", LATER)).updated_at == LATER
        renamed = await uow.conversations.rename("c2", "Why BTC?", LATER + SECOND)
        assert renamed == replace(conversation("c2", at=AT + SECOND), title="Why BTC?", updated_at=LATER + SECOND)
        pages, before = [], None
        while page := await uow.conversations.page(OLGA, limit=1, before=before):
            pages += [found.id for found in page]
            before = page[-1].updated_at, page[-1].id
        assert pages == ["c2", "c1", "c4", "c3"]
        await uow.conversations.archive("c4", LATER)
        assert (await uow.conversations.archive("c4", LATER + SECOND)).archived_at == LATER
        assert [found.id for found in await uow.conversations.page(OLGA, limit=9)] == ["c2", "c1", "c3"]
        assert [found.id for found in await uow.conversations.page(OLGA, limit=9, archived=True)] == ["c4"]
        for change in (
            uow.conversations.touch("?", AT),
            uow.conversations.rename("?", "x", AT),
            uow.conversations.archive("?", AT),
        ):
            with pytest.raises(LedgerError, match=r"conversation '\?' is not on record"):
                await change


async def test_messages_get_their_place_and_an_author_speaks_once_in_a_run(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
        said = [
            await uow.conversations.say(replace(message(run_id, agent, content), created_at=LATER))
            for run_id, agent, content in [
                ("r1", "", "Why?"),
                ("r1", "risk", "…"),
                ("r1", "signal", "ü\x00"),
                ("r2", "", "And ETH?"),
            ]
        ]
        assert [one.sequence for one in said] == [1, 2, 3, 4]
        assert await uow.conversations.say(message("r1", "risk", "Something else")) == said[1]
        assert await uow.conversations.messages("c", limit=9) == tuple(said)
        assert await uow.conversations.messages("c", after=1, limit=2) == tuple(said[1:3])
        assert await uow.conversations.last_messages("c", 2) == tuple(said[2:])
        touched = await uow.conversations.get("c")
        assert touched is not None
        assert touched.updated_at == LATER
        with pytest.raises(LedgerError, match=r"conversation '\?' is not on record"):
            await uow.conversations.say(message("r1", thread="?"))


async def test_agents_who_answer_at_once_get_places_without_a_gap(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
    said = await at_once(database, location, lambda uow, n: uow.conversations.say(message("r1", f"agent {n % 4}", f"{n}")))
    async with database.reading() as uow:
        kept = await uow.conversations.messages("c", limit=99)
    assert [one.sequence for one in kept] == [1, 2, 3, 4]
    assert all(one in kept for one in said)


async def test_a_proposal_is_answered_once(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
        assert await uow.proposals.add(proposal())
        assert not await uow.proposals.add(proposal())
        assert await uow.proposals.get("p") == proposal()
        for change in ({"content_hash": "x"}, {"owner": "user:ida"}, {"account_id": "b"}):
            with pytest.raises(ApprovalError, match="'p' is on record with another content"):
                await uow.proposals.add(replace(proposal(), **change))
        confirmed = replace(proposal(), state=ProposalState.CONFIRMED, decided_at=LATER, order_run_id="order-p")
        assert await uow.proposals.decide("p", ProposalState.CONFIRMED, LATER, "order-p") == confirmed
        with pytest.raises(ApprovalError, match="'p' is already confirmed"):
            await uow.proposals.decide("p", ProposalState.DISMISSED, LATER)
        with pytest.raises(ApprovalError, match=r"'\?' is not on record"):
            await uow.proposals.decide("?", ProposalState.DISMISSED, LATER)
        assert await uow.proposals.get("p") == confirmed
        assert not await uow.proposals.add(proposal()), "made again by a turn that was resumed: the answer stays"


async def test_of_those_who_answer_a_proposal_at_once_one_does(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
        await uow.proposals.add(proposal())

    async def answer(uow: UnitOfWork, number: int) -> bool:
        with suppress(ApprovalError):
            return bool(await uow.proposals.decide("p", ProposalState.CONFIRMED, AT, f"order-{number}"))
        return False

    assert (await at_once(database, location, answer)).count(True) == 1


async def test_proposals_are_listed_and_expire(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
        for number, name in enumerate(["p1", "p2", "p3", "p4"]):
            at = AT + min(number, 2) * SECOND
            await uow.proposals.add(replace(proposal(name), created_at=at, expires_at=at + SECOND))
        await uow.proposals.add(proposal("hers", owner="user:ida", thread=None))
        assert [one.id for one in await uow.proposals.of_conversation("c")] == ["p1", "p2", "p3", "p4"]
        pages, before = [], None
        while page := await uow.proposals.page(OLGA, limit=1, before=before):
            pages += [found.id for found in page]
            before = page[-1].created_at, page[-1].id
        assert pages == ["p4", "p3", "p2", "p1"]
        await uow.proposals.decide("p1", ProposalState.DISMISSED, AT)
        over = await uow.proposals.expire(AT + 2 * SECOND)
        assert [(one.id, one.state, one.decided_at) for one in over] == [("p2", ProposalState.EXPIRED, AT + 2 * SECOND)]
        assert await uow.proposals.expire(AT + 2 * SECOND) == ()
        assert [one.id for one in await uow.proposals.page(OLGA, limit=9, states=[ProposalState.OPEN])] == ["p4", "p3"]


async def test_a_schedule_comes_back_and_is_changed_by_whoever_knows_its_version(database: Database) -> None:
    interval = replace(schedule("s2", "b"), cron=None, every_seconds=900, symbols=(), budget=Budget())
    async with database.transaction() as uow:
        for one in (schedule(), interval, schedule("s0")):
            await uow.schedules.add(one)
        assert await uow.schedules.all(["a", "b"]) == (schedule(), schedule("s0"), interval)
        assert await uow.schedules.all(["b"]) == (interval,)
        assert await uow.schedules.all([]) == ()
        await uow.schedules.take_tick("s", LATER)
        wanted = replace(
            schedule(),
            name="hourly",
            cron="5 * * * *",
            timezone="Europe/Berlin",
            misfire=Misfire.CATCH_UP_ONCE,
            overlap=Overlap.QUEUE,
        )
        wanted = replace(wanted, budget=Budget(cost=Decimal("0.10")), updated_at=LATER, owner="user:ida", account_id="b")
        changed = await uow.schedules.change(wanted, 1)
        assert changed == replace(wanted, account_id="a", version=2, last_tick=LATER) == await uow.schedules.get("s")
        with pytest.raises(LedgerError, match="'s' is not on record at version 1"):
            await uow.schedules.change(wanted, 1)
        assert await uow.schedules.delete("s", LATER)
        assert not await uow.schedules.delete("s", LATER)
        assert not await uow.schedules.take_tick("s", LATER + SECOND)
        with pytest.raises(LedgerError, match="'s' is not on record at version 3"):
            await uow.schedules.change(wanted, 3)
        kept = await uow.schedules.get("s")
        assert kept is not None
        assert kept.deleted_at == LATER
        assert [one.id for one in await uow.schedules.all(["a"])] == ["s0"]
    with pytest.raises(LedgerError):
        async with database.transaction() as uow:
            await uow.schedules.add(schedule())


async def test_a_tick_is_taken_by_one_caller_and_never_goes_back(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        await uow.schedules.add(schedule())
    for number in range(5):
        tick = AT + timedelta(minutes=number)
        taken = await at_once(database, location, lambda uow, _, tick=tick: uow.schedules.take_tick("s", tick))
        assert taken.count(True) == 1
    async with database.transaction() as uow:
        assert not await uow.schedules.take_tick("s", AT + SECOND)
        assert not await uow.schedules.take_tick("?", LATER)


async def test_of_those_who_change_a_schedule_at_once_one_does(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        await uow.schedules.add(schedule())

    async def change(uow: UnitOfWork, number: int) -> bool:
        with suppress(LedgerError):
            return bool(await uow.schedules.change(replace(schedule(), name=f"{number}"), 1))
        return False

    assert (await at_once(database, location, change)).count(True) == 1


async def test_a_pause_stays_as_it_was_put_until_it_is_lifted(database: Database, location: str) -> None:
    everything = pause(kind=PauseKind.EVERYTHING, subject="")
    async with database.transaction() as uow:
        assert await uow.pauses.put(pause())
        assert not await uow.pauses.put(replace(pause(), by="user:ida"))
        assert await uow.pauses.put(pause("b"))
        assert await uow.pauses.put(everything)
        assert await uow.pauses.of_account("a") == (everything, pause())
        assert await uow.pauses.lift("a", PauseKind.AGENT, "BTC/USDT") is None
    lifted = await at_once(database, location, lambda uow, _: uow.pauses.lift("a", PauseKind.SYMBOL, "BTC/USDT"))
    assert [one for one in lifted if one is not None] == [pause()]
    async with database.transaction() as uow:
        assert await uow.pauses.of_account("a") == (everything,)
        assert await uow.pauses.of_account("b") == (pause("b"),)


async def test_an_agents_settings_are_replaced(database: Database) -> None:
    first = AgentSettings("a", "risk", OLGA, AT, "rules", Budget(5, Decimal("0.10")))
    async with database.transaction() as uow:
        for settings in (first, replace(first, agent="market"), replace(first, account_id="b")):
            await uow.agent_settings.put(settings)
        assert await uow.agent_settings.get("a", "risk") == first
        assert await uow.agent_settings.get("a", "?") is None
        later = AgentSettings("a", "risk", "user:ida", LATER)
        await uow.agent_settings.put(later)
        assert await uow.agent_settings.of_account("a") == (replace(first, agent="market"), later)


async def test_an_answer_is_kept_under_its_callers_key(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        assert await uow.kept_answers.begin(OLGA, "k", "h1", AT) is None
        assert await uow.kept_answers.begin(OLGA, "k", "h2", LATER) == KeptAnswer(OLGA, "k", "h1", AT)
        assert await uow.kept_answers.begin("user:ida", "k", "h2", LATER) is None
        await uow.kept_answers.finish(OLGA, "k", 201, '{"id": "ü"}')
        assert await uow.kept_answers.begin(OLGA, "k", "h1", LATER) == KeptAnswer(OLGA, "k", "h1", AT, 201, '{"id": "ü"}')
        for name in (OLGA, "nobody"):
            with pytest.raises(LedgerError, match="no request waits for its answer"):
                await uow.kept_answers.finish(name, "k", 500, "")
        assert await uow.kept_answers.forget(LATER) == 1
        assert await uow.kept_answers.begin(OLGA, "k", "h3", LATER) is None
        await uow.kept_answers.drop(OLGA, "k")
    began = await at_once(database, location, lambda uow, n: uow.kept_answers.begin(OLGA, "k", f"{n}", AT))
    assert began.count(None) == 1
    assert len({str(one) for one in began}) == 2, "the others see the first"


async def test_a_lease_has_one_holder_until_it_is_over(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        assert await uow.leases.take("desk:a", "one", AT, LATER)
        assert not await uow.leases.take("desk:a", "two", LATER - SECOND, LATER + SECOND)
        assert await uow.leases.take("desk:a", "one", LATER - SECOND, LATER + SECOND), "renewed"
        assert await uow.leases.get("desk:a") == Lease("desk:a", "one", LATER + SECOND)
        assert await uow.leases.take("desk:a", "two", LATER + SECOND, LATER + 9 * SECOND), "over"
        assert not await uow.leases.give_back("desk:a", "one")
        assert await uow.leases.take("desk:b", "one", AT, LATER)
        assert await uow.leases.give_back("desk:a", "two")
        assert await uow.leases.get("desk:a") is None
    taken = await at_once(database, location, lambda uow, n: uow.leases.take("desk:a", f"{n}", AT, LATER))
    assert taken.count(True) == 1
    again = await at_once(database, location, lambda uow, n: uow.leases.take("desk:a", f"later {n}", LATER, LATER + SECOND))
    assert again.count(True) == 1, "when it is over, one gets it"

"""The log of events: places without a gap, and followers that miss and repeat nothing. On both databases."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.desk_rows import AT, open_account
from trading_core.domain.errors import InvalidInput, LedgerError
from trading_core.persistence.desk_records import NewEvent, StoredEvent
from trading_core.persistence.session import Database

ACCOUNTS = ("a", "b", "c")


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await open_account(uow, *ACCOUNTS)
        yield database


async def test_events_come_back_as_told_numbered_within_their_run(database: Database) -> None:
    data = {"symbol": "BTC/USDT", "amount": "0.10", "checks": [1, None, {"text": "\x00\ud800 – ü"}]}
    async with database.transaction() as uow:
        assert await uow.events.last_position() == 0
        first = await uow.events.append("a", "r1", "run_queued", AT, data)
        between = await uow.events.append("a", "", "paused", AT, {})
        assert await uow.events.append_many([]) == ()
        more = await uow.events.append_many(
            [NewEvent("a", run_id, "token", AT, {"n": n}) for n, run_id in enumerate(["r1", "r2", "", "r1", "r2"])]
        )
    assert first == StoredEvent(first.position, "a", "r1", 1, "run_queued", AT, data)
    assert (between.run_id, between.sequence) == ("", 0)
    assert [(event.run_id, event.sequence) for event in more] == [("r1", 2), ("r2", 1), ("", 0), ("r1", 3), ("r2", 2)]
    told = (first, between, *more)
    assert [event.position for event in told] == sorted({event.position for event in told})
    async with database.reading() as uow:
        assert await uow.events.after(0, ["a"], 99) == told
        assert await uow.events.of_run("r1", 0, 99) == (first, more[0], more[3])
        assert await uow.events.of_run("r1", 1, 1) == (more[0],)
        assert await uow.events.of_run("", 0, 9) == ()
        assert await uow.events.last_position() == more[-1].position


async def test_a_follower_sees_only_the_accounts_it_asked_for_in_order(database: Database) -> None:
    async with database.transaction() as uow:
        told = [await uow.events.append(account, f"r{account}", "k", AT, {}) for account in "abcacbba"]
        for wanted in (("a",), ("a", "c"), ("c", "b", "c"), ACCOUNTS, ("nobody",), ("nobody", "b"), ()):
            mine = [event for event in told if event.account_id in wanted]
            assert await uow.events.after(0, wanted, 99) == tuple(mine)
            assert (
                await uow.events.after(told[2].position, wanted, 2) == tuple(e for e in mine if e.position > told[2].position)[:2]
            )
        assert await uow.events.after(told[0].position, None, 3) == tuple(told[1:4])


async def test_an_event_needs_its_account_and_data_that_json_can_keep(database: Database) -> None:
    with pytest.raises(LedgerError, match=r"(?i)foreign key"):
        async with database.transaction() as uow:
            await uow.events.append("nobody", "", "k", AT, {})
    with pytest.raises(InvalidInput, match="Decimal"):
        async with database.transaction() as uow:
            await uow.events.append("a", "", "k", AT, {"amount": Decimal(1)})
    async with database.reading() as uow:
        assert await uow.events.last_position() == 0


async def test_the_position_of_a_removed_event_is_given_to_no_other(database: Database) -> None:
    async with database.transaction() as uow:
        last = await uow.events.append("a", "r1", "k", AT, {})
        await uow.sessions._connection.exec_driver_sql("DELETE FROM run_events")
        assert (await uow.events.append("a", "r2", "k", AT, {})).position > last.position


class Wanted(Exception):  # a transaction that ends in an error on purpose
    pass


# What one teller tells: transactions of (account, run) pairs, and whether each ends in an error.
_TOLD = st.tuples(st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from("xyz ")), min_size=1, max_size=3), st.booleans())
_TELLERS = st.lists(st.lists(_TOLD, min_size=1, max_size=5), min_size=4, max_size=4)


def _followed(examples: int) -> Callable[..., Awaitable[None]]:
    """The test of so many examples that a follower of several who tell at once misses and repeats nothing."""

    @settings(max_examples=examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(tellers=_TELLERS, page=st.integers(1, 4), accounts=st.sampled_from([ACCOUNTS, ("a",), ("b", "c"), None]))
    async def test(
        database: Database,
        location: str,
        tellers: Sequence[Sequence[tuple[Sequence[tuple[str, str]], bool]]],
        page: int,
        accounts: Sequence[str] | None,
    ) -> None:
        done = asyncio.Event()
        kept: list[StoredEvent] = []

        async def tell(own: Database, transactions: Sequence[tuple[Sequence[tuple[str, str]], bool]]) -> None:
            for pairs, fails in transactions:
                with suppress(Wanted):
                    async with own.transaction() as uow:
                        told = []
                        for account, run_id in pairs:
                            told.append(await uow.events.append(account, f"{account}{run_id}".strip(), "k", AT, {}))
                            await asyncio.sleep(0)
                        if fails:
                            raise Wanted
                    kept.extend(told)

        async def follow(own: Database, position: int) -> list[StoredEvent]:
            seen: list[StoredEvent] = []
            while True:
                last_look = done.is_set()
                async with own.reading() as uow:
                    found = await uow.events.after(position, accounts, page)
                seen += found
                position = found[-1].position if found else position
                if last_look and not found:
                    return seen
                await asyncio.sleep(0)

        async with AsyncExitStack() as stack:
            other = await stack.enter_async_context(await Database.open(location))
            async with database.reading() as uow:
                begin = await uow.events.last_position()
            followers = [asyncio.create_task(follow(own, begin)) for own in (database, other)]
            await asyncio.gather(*(tell((database, other)[number % 2], each) for number, each in enumerate(tellers)))
            done.set()
            seen, again = await asyncio.gather(*followers)
        expected = [event for event in kept if accounts is None or event.account_id in accounts]
        assert seen == again == sorted(expected, key=lambda event: event.position)
        async with database.reading() as uow:
            for run_id in {event.run_id for event in kept if len(event.run_id) == 2}:
                steps = await uow.events.of_run(run_id, 0, 10_000)
                assert [event.sequence for event in steps] == list(range(1, len(steps) + 1))

    return test


test_a_follower_of_several_who_tell_at_once_misses_and_repeats_nothing = _followed(6)
test_a_follower_of_several_misses_and_repeats_nothing_many_times = pytest.mark.slow(_followed(60))


async def test_what_one_run_tells_from_two_places_at_once_gets_one_order(database: Database, location: str) -> None:
    async def tell(own: Database) -> list[StoredEvent]:
        told = []
        for _ in range(15):
            async with own.transaction() as uow:
                told += await uow.events.append_many([NewEvent("a", "r1", "token", AT, {})] * 2)
        return told

    async with await Database.open(location) as other:
        parts = await asyncio.gather(*(tell(own) for own in (database, other, database, other)))
        told = [event for part in parts for event in part]
        places = defaultdict(set)
        for event in told:
            places[event.sequence].add(event.position)
        assert sorted(places) == list(range(1, 121))
        async with other.reading() as uow:
            assert await uow.events.of_run("r1", 0, 999) == tuple(sorted(told, key=lambda event: event.position))

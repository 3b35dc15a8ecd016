"""What a strategy was, version by version. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
TREND = {"symbols": ["BTC/USDT"], "limits": {"max_position": "0.05"}}


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        yield database


async def test_another_content_is_another_version_and_the_same_is_not(database: Database) -> None:
    wider = {**TREND, "symbols": ["BTC/USDT", "ETH/USDT"]}
    async with database.transaction() as uow:
        first = await uow.strategies.keep("trend", TREND, by="ann", at=AT)
        same = await uow.strategies.keep("trend", dict(reversed(TREND.items())), by="bob", at=AT + timedelta(days=1))
        second = await uow.strategies.keep("trend", wider, by="bob", at=AT + timedelta(days=2))
        back = await uow.strategies.keep("trend", TREND, by="ann", at=AT + timedelta(days=3))
        other = await uow.strategies.keep("breakout", TREND, by="ann", at=AT)
    assert (first.version, same, second.version, back.version, other.version) == (1, first, 2, 3, 1)
    async with database.reading() as uow:
        assert await uow.strategies.versions("trend") == (first, second, back)
        assert await uow.strategies.get("trend") == back
        assert await uow.strategies.get("trend", 2) == second
        assert await uow.strategies.get("trend", 4) is None
        assert await uow.strategies.get("nothing") is None
        assert await uow.strategies.newest() == (other, back)


async def test_writers_at_once_make_versions_one_after_another(database: Database) -> None:
    async def keep(number: int) -> int:
        async with database.transaction() as uow:
            return (await uow.strategies.keep("trend", {"number": number % 4}, by="ann", at=AT)).version

    await asyncio.gather(*(keep(number) for number in range(12)))
    async with database.reading() as uow:
        found = await uow.strategies.versions("trend")
    assert [one.version for one in found] == list(range(1, len(found) + 1))
    assert {one.config["number"] for one in found} == {0, 1, 2, 3}
    assert all(one.content_hash != later.content_hash for one, later in pairwise(found))

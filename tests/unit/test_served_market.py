"""What `serve` serves: a practice that goes on where it was, or a live market; and where each keeps its things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.commands.served_market import PRACTICE_SEED, Wanted, served_config
from api.commands.settings import RunChoices
from data_channels.market.practice import PracticeFeed
from graph.config import SessionConfig
from graph.folders import Folders
from graph.markets import make_feed
from graph.serving import cron_of
from trading_core.domain.errors import AlgoTrendyError, ConfigurationError, InvalidInput
from trading_core.domain.market import Timeframe
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.session import Database

NOW = datetime(2026, 1, 5, 10, 2, 17, 654_321, tzinfo=UTC)
NOTHING = Wanted(None, None, None, None)


@pytest.fixture
async def database(sqlite_copy: str) -> AsyncIterator[Database]:
    async with await Database.open(str(sqlite_copy)) as database:
        yield database


def choices(market: str = "practice", venue: str | None = None, **limits: str) -> RunChoices:
    overrides = [f"{key}={value}" for key, value in limits.items()]
    return RunChoices(market, None, venue, None, "", None, None, None, None, "", "rules", None, None, overrides, 0)


async def begun(database: Database, wanted: Wanted = NOTHING, now: datetime = NOW, **limits: str) -> SessionConfig:
    config, _ = await served_config(choices(**limits), wanted, database, now)
    async with database.transaction() as uow:
        if await uow.sessions.get(config.session_id) is None:
            await uow.sessions.add(SessionRecord(config.session_id, config.stored(), now))
    return config


async def test_a_practice_begins_now_and_asks_operators(database: Database) -> None:
    config = await begun(database)
    assert (config.market, config.timeframe, config.seed) == ("practice", "5m", PRACTICE_SEED)
    assert config.start == NOW.replace(microsecond=0)
    assert not config.simulated
    assert config.limits.desk.approval_above_notional is not None
    assert isinstance(make_feed(config), PracticeFeed)


async def test_it_goes_on_in_its_own_market(database: Database) -> None:
    first = await begun(database, Wanted("BTC/USDT,XRP/USDT", "15m", 9, "5000"))
    later = await begun(database, now=NOW + timedelta(days=9))
    assert later == first
    assert later.session_id == first.session_id


async def test_other_limits_make_another_session_of_the_same_market(database: Database) -> None:
    first, second = await begun(database), await begun(database, now=NOW + timedelta(hours=5), max_position="0.1")
    assert second.session_id != first.session_id
    assert (second.start, second.seed, second.timeframe) == (first.start, first.seed, first.timeframe)
    assert Folders.of(Path("home"), first) == Folders.of(Path("home"), second)


@pytest.mark.parametrize("wanted", [Wanted(None, "1h", None, None), Wanted(None, None, 8, None)])
async def test_prices_that_would_not_go_on_are_refused(database: Database, wanted: Wanted) -> None:
    await begun(database)
    with pytest.raises(ConfigurationError, match="other prices"):
        await served_config(choices(), wanted, database, NOW)


async def test_what_it_has_may_be_said_again(database: Database) -> None:
    first = await begun(database)
    assert await begun(database, Wanted(None, "5m", PRACTICE_SEED, "100000"), now=NOW + timedelta(days=1)) == first


async def test_a_market_that_is_over_is_not_served(database: Database) -> None:
    for market in ("synthetic", "history", "casino"):
        with pytest.raises(InvalidInput, match="no market to serve"):
            await served_config(choices(market), NOTHING, database, NOW)


async def test_a_live_one_needs_a_venue(database: Database) -> None:
    with pytest.raises(AlgoTrendyError, match="--venue"):
        await served_config(choices("live"), NOTHING, database, NOW)
    config, _ = await served_config(choices("live", "binance"), NOTHING, database, NOW)
    assert (config.market, config.timeframe, config.start) == ("live", "1h", None)


class TestFolders:
    def test_practice_and_paper_share_the_desks_ledger_and_nothing_else(self) -> None:
        practice = SessionConfig.parse({"market": "practice", "symbols": ("BTC/USDT",), "start": "2026-01-05T10:00:00Z"})
        live = SessionConfig.parse({"market": "live", "venue": "binance", "symbols": ("BTC/USDT",)})
        one, other = (Folders.of(Path("home"), config) for config in (practice, live))
        assert one.ledger == other.ledger
        assert (one.account, other.account) == ("practice", "paper")
        assert one.paper != other.paper
        assert one.checkpoints != other.checkpoints
        assert not one.is_simulation

    def test_a_practice_has_a_start_and_no_end(self) -> None:
        for wrong in ({}, {"start": "2026-01-05T10:00:00Z", "end": "2026-01-06T10:00:00Z"}):
            with pytest.raises(ConfigurationError, match="practice"):
                SessionConfig.parse({"market": "practice", "symbols": ("BTC/USDT",), **wrong})


@pytest.mark.parametrize(
    ("timeframe", "cron"),
    [
        ("1m", "* * * * *"),
        ("5m", "*/5 * * * *"),
        ("15m", "*/15 * * * *"),
        ("1h", "0 * * * *"),
        ("4h", "0 */4 * * *"),
        ("1d", "0 0 * * *"),
        ("1w", "0 0 * * 1"),
        ("7m", None),
        ("5h", None),
        ("3d", None),
    ],
)
def test_the_closes_of_bars_as_cron(timeframe: str, cron: str | None) -> None:
    assert cron_of(Timeframe(timeframe)) == cron

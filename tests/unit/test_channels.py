"""Channels: what was known when, and an honest answer where there is no source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.base import Channel, NotConfigured, known
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Reading, ReadingState

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def reading(observed: timedelta, published: timedelta) -> Reading:
    return Reading("fear-greed", "BTC/USDT", "index", Decimal(40), "points", NOON + observed, NOON + published)


@pytest.mark.parametrize("kind", ["sentiment", "onchain"])
async def test_an_unconfigured_channel_is_off_and_invents_nothing(kind: str) -> None:
    channel: Channel = NotConfigured(kind)
    report = await channel.report("BTC/USDT", as_of=NOON)
    assert (report.kind, report.symbol, report.state, report.readings) == (kind, "BTC/USDT", ReadingState.OFF, ())
    assert f"No {kind} source is configured" in report.reason
    assert "nothing is invented" in report.reason
    assert "not configured" in channel.name


def test_a_reading_counts_from_its_publication_and_not_from_its_observation() -> None:
    late = reading(observed=timedelta(hours=-5), published=timedelta(minutes=1))
    on_time = reading(observed=timedelta(hours=-6), published=timedelta(0))
    assert known([late, on_time], NOON) == (on_time,)


@given(st.lists(st.integers(-90, 90)), st.integers(-90, 90))
def test_nothing_published_later_is_known_and_nothing_earlier_is_lost(minutes: list[int], at: int) -> None:
    readings = [reading(timedelta(days=-1), timedelta(minutes=offset)) for offset in minutes]
    assert [(r.published_at - NOON) // timedelta(minutes=1) for r in known(readings, NOON + timedelta(minutes=at))] == [
        offset for offset in minutes if offset <= at
    ]


def test_the_instant_is_what_counts_and_not_how_it_is_written() -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    assert len(known([reading(timedelta(0), timedelta(0))], tokyo)) == 1
    with pytest.raises(InvalidInput, match="no time zone"):
        known([], NOON.replace(tzinfo=None))

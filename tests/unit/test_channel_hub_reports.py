"""What the hub's channels tell: only what was known, in whose state, and without what is in doubt."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.aggregates.coingecko import PRICE_PATH, CoinGecko
from data_channels.base import Channel, Kind
from data_channels.crosscheck import Doubt
from data_channels.hub import ChannelHub
from data_channels.memory import Memory
from tests.channels.clock import SharedClock
from tests.channels.server import ServiceServer
from tests.channels.sources import BTC, MINUTE, START, Told, reading
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable, InvalidInput, MarketDataUnavailable
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, ChannelReport, Reading, ReadingState, Ticker, Timeframe

LIVE, STALE, DEGRADED, OFF = ReadingState.LIVE, ReadingState.STALE, ReadingState.DEGRADED, ReadingState.OFF
DOWN = ChannelUnavailable("down")


class Venue:
    """A feed that has only a last price."""

    generated = False

    def __init__(self, last: Decimal | int | None, *, name: str = "venue", age: timedelta = timedelta(0)) -> None:
        self.last, self.name, self.age = last, name, age

    async def instruments(self) -> Mapping[str, Instrument]:
        return {}

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        return ()

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        if self.last is None:
            raise MarketDataUnavailable("down")
        last = Decimal(self.last)
        return Ticker(symbol, last, last, last, as_of - self.age)

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        return ()

    async def close(self) -> None: ...


def telling(value: object, *, name: str, kind: Kind = Kind.AGGREGATE, wants: str = "", **more: object) -> Told:
    def says(now: datetime) -> Sequence[Reading] | Exception:
        return value if isinstance(value, Exception) else [reading(str(value), at=now, source=name, **more)]

    return Told(says, name=name, kind=kind, wants=wants)


async def reported(*sources: Told, after: timedelta = MINUTE, symbol: str = BTC, feeds: Sequence[Venue] = ()) -> ChannelReport:
    clock = SharedClock(START)
    hub = ChannelHub(sources, [BTC, "ETH/USDT"], clock=clock, chance=random.Random(1), feeds=feeds)
    async with hub:
        await clock.sleep(after.total_seconds())
        channel = hub.channel(sources[0].kind)
        assert channel is not None
        port: Channel = channel
        return await port.report(symbol, as_of=clock.now())


def sources_of(report: ChannelReport) -> list[str]:
    return [entry.source for entry in report.readings]


async def test_all_live() -> None:
    report = await reported(telling(100, name="a"), telling(101, name="b"))
    assert (report.kind, report.symbol, report.state, report.reason) == ("aggregate", BTC, LIVE, "")
    assert sources_of(report) == ["a", "b"]


async def test_one_that_fails_degrades_the_channel_and_is_named() -> None:
    report = await reported(telling(100, name="a"), telling(ChannelUnavailable("b /x: HTTP 500"), name="b"))
    assert report.state is DEGRADED
    assert report.reason.startswith("b: b /x: HTTP 500")
    assert sources_of(report) == ["a"]


async def test_one_that_wants_a_key_is_told_and_degrades_nothing() -> None:
    report = await reported(telling(100, name="a"), telling(1, name="b", wants="B_API_KEY"))
    assert (report.state, report.reason) == (LIVE, "b is off: it wants B_API_KEY.")


async def test_one_that_refuses_is_missed() -> None:
    report = await reported(telling(100, name="a"), telling(ChannelRefused("b refused /x: the key is not accepted"), name="b"))
    assert (report.state, report.reason) == (DEGRADED, "b is off: b refused /x: the key is not accepted.")


async def test_none_that_is_on_is_off_with_each_reason() -> None:
    report = await reported(telling(1, name="a", wants="A_KEY"), telling(ChannelRefused("b refused"), name="b"))
    assert (report.state, report.readings) == (OFF, ())
    assert report.reason == "a is off: it wants A_KEY. b is off: b refused."


async def test_all_failing_from_the_start_is_degraded_and_empty() -> None:
    report = await reported(telling(DOWN, name="a"), telling(DOWN, name="b"), after=timedelta(hours=2))
    assert (report.state, report.readings) == (DEGRADED, ())
    assert "a: down; left alone" in report.reason
    assert "b: down" in report.reason


async def test_old_readings_alone_are_stale_and_still_told() -> None:
    source = Told(lambda now: [reading(at=now)] if now < START + MINUTE else DOWN)
    report = await reported(source, after=timedelta(hours=1))
    assert report.state is STALE
    assert report.reason.startswith("told: its newest reading is 60 min old; told: down")
    assert len(report.readings) == 1


async def test_one_stale_beside_one_live_is_degraded() -> None:
    old = Told(lambda now: [reading(at=now, source="old")] if now < START + MINUTE else DOWN, name="old")
    report = await reported(telling(1, name="a", kind=Kind.AGGREGATE), old, after=timedelta(hours=1))
    assert (report.state, sources_of(report)) == (DEGRADED, ["a"])
    assert "old: its newest reading is" in report.reason


async def test_what_a_source_has_stopped_telling_is_not_told_for_ever() -> None:
    def says(now: datetime) -> list[Reading]:
        return [reading(1, at=now), *([reading(2, at=now, name="volume")] if now < START + 10 * MINUTE else [])]

    assert len((await reported(Told(says))).readings) == 2
    report = await reported(Told(says), after=timedelta(hours=1))
    assert (report.state, [entry.name for entry in report.readings]) == (LIVE, ["price"])


async def test_a_failure_before_its_reading_is_old_is_degraded() -> None:
    source = Told(lambda now: [reading(at=now)] if now < START + MINUTE else DOWN)
    report = await reported(source, after=timedelta(minutes=10))
    assert (report.state, len(report.readings)) == (DEGRADED, 1)


async def test_a_symbol_that_no_source_knows_is_off_for_it_alone() -> None:
    report = await reported(telling(100, name="a"), symbol="ETH/USDT")
    assert (report.state, report.reason, report.readings) == (OFF, "a says nothing of ETH/USDT.", ())


async def test_a_symbol_that_is_not_followed_is_off() -> None:
    report = await reported(telling(100, name="a"), symbol="DOGE/USDT")
    assert (report.state, report.reason) == (OFF, "DOGE/USDT is not among the symbols that are followed.")


async def test_an_instant_without_a_zone_is_an_error() -> None:
    hub = ChannelHub([Told()], [BTC], clock=SharedClock(START), chance=random.Random(1))
    channel = hub.channel(Kind.AGGREGATE)
    assert channel is not None
    with pytest.raises(InvalidInput, match="no time zone"):
        await channel.report(BTC, as_of=START.replace(tzinfo=None))


async def test_a_lying_source_is_left_out_and_named() -> None:
    report = await reported(telling(100, name="a"), telling(101, name="b"), telling(1000, name="c"))
    assert (report.state, sources_of(report)) == (DEGRADED, ["a", "b"])
    assert report.reason == "c: price of BTC/USDT is 890.1% off the others."


async def test_with_one_source_and_one_venue_that_differ_both_are_in_doubt() -> None:
    report = await reported(telling(1000, name="a"), feeds=[Venue(100)])
    assert (report.state, report.readings) == (DEGRADED, ())
    assert "a: price of BTC/USDT is 900.0% off the others" in report.reason
    assert "venue: price of BTC/USDT is 900.0% off the others" in report.reason


async def test_a_lying_venue_is_named_and_the_sources_are_kept() -> None:
    report = await reported(telling(100, name="a"), telling(101, name="b"), feeds=[Venue(1000)])
    assert (report.state, sources_of(report)) == (DEGRADED, ["a", "b"])
    assert report.reason == "venue: price of BTC/USDT is 890.1% off the others."


@pytest.mark.parametrize("venue", [Venue(100), Venue(None), Venue(1000, age=timedelta(hours=1))], ids=["agrees", "down", "old"])
async def test_a_venue_that_agrees_or_says_nothing_new_changes_nothing(venue: Venue) -> None:
    report = await reported(telling(100, name="a"), feeds=[venue])
    assert (report.state, report.reason, sources_of(report)) == (LIVE, "", ["a"])


async def test_an_invented_price_contradicts_nobody() -> None:
    venue = Venue(1000)
    venue.generated = True
    assert (await reported(telling(100, name="a"), feeds=[venue])).state is LIVE


async def test_two_venues_that_differ_are_found_without_any_source() -> None:
    clock = SharedClock(START)
    hub = ChannelHub([], [BTC], clock=clock, chance=random.Random(1), feeds=[Venue(100, name="v1"), Venue(1000, name="v2")])
    assert {finding.source for finding in await hub.contradicted(BTC, START)} == {"v1", "v2"}


async def test_a_price_of_a_source_of_another_kind_counts_and_is_left_out_there() -> None:
    lying = telling(1000, name="mood", kind=Kind.SENTIMENT)
    report = await reported(lying, telling(100, name="a"), telling(101, name="b"))
    assert (report.kind, report.state, report.readings) == ("sentiment", DEGRADED, ())


async def test_a_lie_of_another_kind_does_not_concern_a_channel() -> None:
    honest = telling(100, name="mood", kind=Kind.SENTIMENT)
    report = await reported(honest, telling(1000, name="a"), telling(101, name="b"))
    assert (report.kind, report.state, sources_of(report)) == ("sentiment", LIVE, ["mood"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda now: reading(at=now + timedelta(hours=1)), "is dated 3600 s in the future"),
        (lambda now: reading(at=now - timedelta(hours=5), published=now), "is 18000 s old, though told as new"),
        (lambda now: reading(-5, at=now), "cannot be: -5"),
        (lambda now: reading(2, at=now, name="mood", unit="score"), "cannot be: 2"),
    ],
)
async def test_what_cannot_be_is_never_remembered_and_is_named(wrong: object, words: str) -> None:
    assert callable(wrong)
    source = Told(lambda now: [wrong(now), reading(7, at=now, name="right")])
    report = await reported(source)
    assert (report.state, [entry.name for entry in report.readings]) == (DEGRADED, ["right"])
    assert words in report.reason


async def test_a_lie_is_forgotten_when_the_source_is_honest_again() -> None:
    source = Told(lambda now: [reading(100 if now > START + 10 * MINUTE else -100, at=now)])
    assert (await reported(source)).state is DEGRADED
    assert (await reported(source, after=timedelta(hours=1))).state is LIVE


async def test_rejected_readings_are_counted_and_listed() -> None:
    clock = SharedClock(START)
    hub = ChannelHub([Told(lambda now: [reading(-1, at=now)])], [BTC], clock=clock, chance=random.Random(1))
    async with hub:
        await clock.sleep(1)
        [status] = hub.statuses()
    assert (status.metrics.rejected, status.metrics.readings) == (1, 0)
    assert [finding.doubt for finding in status.findings] == [Doubt.IMPOSSIBLE]
    assert (status.state, status.reason) == (DEGRADED, "told: price of BTC/USDT cannot be: -1")


async def test_what_the_source_dates_by_the_question_is_known_when_the_answer_is_here() -> None:
    clock = SharedClock(START)

    class Waiting(Told):
        async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
            await clock.sleep(42)
            return [reading(at=now, name="by question"), reading(at=START - MINUTE, name="by source")]

    hub = ChannelHub([Waiting()], [BTC], clock=clock, chance=random.Random(1))
    channel = hub.channel(Kind.AGGREGATE)
    assert channel is not None
    async with hub:
        await clock.sleep(60)
        early = await channel.report(BTC, as_of=START + timedelta(seconds=41))
        late = await channel.report(BTC, as_of=START + timedelta(seconds=42))
    assert [entry.name for entry in early.readings] == ["by source"]
    assert [entry.name for entry in late.readings] == ["by question", "by source"]


async def test_an_instant_that_has_just_passed_is_told_as_it_was_then() -> None:
    clock = SharedClock(START)
    source = Told(lambda now: [reading(1 + (now - START) // MINUTE, at=now)])
    hub = ChannelHub([source], [BTC], clock=clock, chance=random.Random(1))
    channel = hub.channel(Kind.AGGREGATE)
    assert channel is not None
    async with hub:
        await clock.sleep(3600)
        for asked_at in source.asked[1:]:
            [before] = (await channel.report(BTC, as_of=asked_at - timedelta(microseconds=1))).readings
            [then] = (await channel.report(BTC, as_of=asked_at)).readings
            assert before.published_at < then.published_at == asked_at


entries = st.builds(
    lambda name, value, observed, delay: reading(
        value, name=name, at=START + observed * MINUTE, published=START + (observed + delay) * MINUTE
    ),
    st.sampled_from(["price", "volume"]),
    st.integers(1, 3),
    st.integers(0, 60),
    st.integers(0, 60),
)


def told_once(**sizes: int) -> st.SearchStrategy[list[Reading]]:
    return st.lists(entries, unique_by=lambda entry: (entry.name, entry.value, entry.observed_at), **sizes)


@given(told_once(max_size=40), st.integers(-5, 130))
def test_memory_tells_of_each_name_the_newest_that_was_public_and_nothing_later(told: list[Reading], minute: int) -> None:
    memory = Memory(depth=100)
    for entry in told:
        memory.add(entry)
    as_of = START + minute * MINUTE
    known = memory.known(BTC, as_of)
    assert all(entry.published_at <= as_of for entry in known)
    for name in ("price", "volume"):
        public = [entry for entry in told if entry.name == name and entry.published_at <= as_of]
        mine = [entry for entry in known if entry.name == name]
        assert [entry.observed_at for entry in mine] == ([max(entry.observed_at for entry in public)] if public else [])


@given(st.lists(entries, max_size=60), st.integers(1, 8))
def test_memory_never_holds_more_than_its_depth_and_takes_nothing_twice(told: list[Reading], depth: int) -> None:
    memory = Memory(depth)
    new = [entry for entry in told if memory.add(entry)]
    assert len(memory) <= 2 * depth
    assert not any(memory.add(entry) for entry in new)


@given(told_once(min_size=1, max_size=20), st.integers(0, 130))
def test_what_is_published_later_changes_nothing_that_was_known(told: list[Reading], minute: int) -> None:
    as_of = START + minute * MINUTE
    full, then = Memory(100), Memory(100)
    for entry in told:
        full.add(entry)
        if entry.published_at <= as_of:
            then.add(entry)
    assert full.known(BTC, as_of) == then.known(BTC, as_of)


@pytest.mark.parametrize(
    ("factor", "ahead", "words"),
    [(10, 0, "coingecko: price of BTC/USDT is 900.0% off the others"), (1, 3600, "coingecko: price of BTC/USDT is dated 3600 s")],
)
async def test_a_real_source_that_lies_over_http_is_caught(factor: int, ahead: int, words: str) -> None:
    at = int(START.timestamp()) + ahead
    coin = {"usd": 50_000 * factor, "usd_market_cap": 10**12, "usd_24h_vol": 10**9, "usd_24h_change": 1, "last_updated_at": at}
    clock = SharedClock(START)
    with ServiceServer({PRICE_PATH: {"bitcoin": coin}}) as server:
        sources = [CoinGecko(base_url=server.base_url), telling(50_000, name="b"), telling(50_000, name="c")]
        hub = ChannelHub(sources, [BTC], clock=clock, chance=random.Random(1))
        async with hub:
            await hub.asked()
            channel = hub.channel(Kind.AGGREGATE)
            assert channel is not None
            report = await channel.report(BTC, as_of=START)
    assert report.state is DEGRADED
    assert words in report.reason
    assert ("coingecko", "price") not in {(entry.source, entry.name) for entry in report.readings}
    assert {"b", "c"} <= set(sources_of(report))

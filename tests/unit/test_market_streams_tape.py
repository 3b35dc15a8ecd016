"""What is known of a market's trades, whatever is lost, doubled, swapped or told too late: bars are the true ones or none."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_channels.market.streaming.health import StreamMetrics
from data_channels.market.streaming.market import SETTLED, StreamedMarket
from data_channels.market.streaming.minutes import KEPT_MINUTES, Minutes
from data_channels.market.streaming.shelf import MOST_BARS, Shelf
from data_channels.market.streaming.tape import KEPT_IDS, Arrival, Tape, Trade
from data_channels.market.streaming.venues import stream_profile
from trading_core.domain.clock import from_ms, to_ms
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar, Timeframe

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE, FIVE = Timeframe("1m"), Timeframe("5m")
MINUTES = 6
Row = dict[str, object]


def row(number: int, at_ms: int, price: str = "100", amount: str = "1", **info: object) -> Row:
    return {"id": str(number), "timestamp": at_ms, "price": price, "amount": amount, "info": info}


def trade(number: int, at_ms: int = 0, stands_for: int = 1) -> Trade:
    return Trade(str(number), (number, 0), at_ms, Decimal(100), Decimal(1), stands_for)


def market(venue: str) -> StreamedMarket:
    return StreamedMarket("BTC/USDT", stream_profile(venue), StreamMetrics())


def true_bar(rows: Sequence[Mapping[str, object]], opened_at: datetime, length: timedelta) -> Bar | None:
    start, end = to_ms(opened_at), to_ms(opened_at + length)
    found = [one for one in rows if start <= int(str(one["timestamp"])) < end]
    prices = [Decimal(str(one["price"])) for one in found]
    volume = sum((Decimal(str(one["amount"])) for one in found), Decimal(0))
    return Bar(opened_at, prices[0], max(prices), min(prices), prices[-1], volume) if prices else None


@st.composite
def tapes(draw: st.DrawFn) -> list[Row]:
    """A market's true trades, over some minutes."""
    steps = draw(st.lists(st.integers(0, 8_000), min_size=40, max_size=100))
    chance = random.Random(draw(st.integers(0, 10**6)))
    rows, at = [], to_ms(START) + 1_000
    for number, step in enumerate(steps):
        at += step
        rows.append(row(7_000 + number, at, str(chance.randrange(90, 110)), f"{chance.randrange(1, 500)}e-3"))
    return rows


@settings(max_examples=200)
@given(
    tapes(), st.sampled_from(["binance", "bybit"]), st.integers(0, 10**6), st.integers(1, 15), st.sampled_from([0.03, 0.1, 0.2])
)
def test_a_bar_is_the_true_one_or_none(rows: list[Row], venue: str, seed: int, page: int, trouble: float) -> None:
    chance, told, counts = random.Random(seed), market(venue), venue == "binance"
    queue: list[Row] = []
    is_open = True
    for index, one in enumerate(rows):
        if chance.random() < trouble:
            is_open = not is_open
            told.interrupted()
            queue.clear()
        if is_open:
            lost = counts and chance.random() < trouble  # on an open socket: only a number shows it
            queue += [] if lost else [one]
            if not counts or chance.random() < 0.7:  # else what comes behind overtakes it
                chance.shuffle(queue)
                for each in queue if counts else [one]:
                    told.traded([each])
                told.traded(chance.sample(rows[: index + 1], min(index, 2)) if counts else queue[-1:])
                queue.clear()
        if told.tape.hole is not None and chance.random() < 0.5:
            told.filled(rows[max(0, index + 1 - page) : index + 1])
        if told.tape.hole is not None and chance.random() < trouble / 4:
            told.give_up()
        check(told, rows[: index + 1])
    last = row(7_000 + len(rows), int(str(rows[-1]["timestamp"])) + 60_000)
    told.traded([last])
    told.filled([*rows, last])
    assert told.tape.hole is None
    check(told, [*rows, last])


def check(told: StreamedMarket, rows: Sequence[Mapping[str, object]]) -> None:
    """Of every bar that is over."""
    last = int(str(rows[-1]["timestamp"]))
    for timeframe in (MINUTE, FIVE):
        for number in range(MINUTES):
            opened_at = START + number * timeframe.length
            closes = opened_at + timeframe.length
            known = told.bars(timeframe, opened_at, closes)
            if known is not None and to_ms(closes) <= last:
                assert known == [true_bar(rows, opened_at, timeframe.length)]


def test_a_page_that_reaches_over_everything_leaves_nothing_out() -> None:
    rows = [row(number, to_ms(START) + number * 7_000) for number in range(60)]
    told = market("binance")
    told.traded(rows[:1])
    assert told.bars(MINUTE, START, START + MINUTE.length) is None
    told.interrupted()
    told.traded(rows[40:41])
    assert told.filled(rows)
    told.traded(rows[41:])
    bars = told.bars(MINUTE, START + MINUTE.length, START + 6 * MINUTE.length)
    assert bars == [true_bar(rows, START + number * MINUTE.length, MINUTE.length) for number in range(1, 6)]


def test_a_gap_shows_by_its_number_and_closes_by_itself() -> None:
    tape = Tape(counts=True)
    tape.take(trade(1))
    tape.fill([trade(1)])
    assert [tape.take(trade(number)) for number in (2, 5, 4)] == [Arrival.NEW] * 3
    assert tape.hole is not None
    assert tape.take(trade(3)) is Arrival.NEW
    assert tape.hole is None
    assert tape.take(trade(3)) is Arrival.DUPLICATE


def test_a_row_that_stands_for_several_trades_leaves_no_gap() -> None:
    """OKX tells trades 3 to 6 as one row with the number 6."""
    told = market("okx")
    told.traded([row(2, to_ms(START), count="1")])
    told.filled([row(2, to_ms(START))])
    told.traded([row(6, to_ms(START), count="4")])
    assert told.tape.hole is None
    told.traded([row(9, to_ms(START), count="2")])
    assert told.tape.hole is not None


def test_what_rest_tells_of_a_row_that_stands_for_several_counts_once() -> None:
    """The row with the number 6 is trades 3 to 6 together, which REST tells one by one."""
    told, at = market("okx"), to_ms(START)
    told.traded([row(1, at)])
    told.filled([row(1, at)])
    told.traded([row(6, at + 1_000, amount="4", count="4")])
    assert told.tape.hole is not None, "trade 2 is missing"
    told.filled([row(number, at + 1_000) for number in range(1, 7)])
    told.traded([row(9, at + 2_000, amount="3", count="3"), row(10, at + 60_000)])
    told.traded([row(11, at + 120_000)])
    assert told.tape.hole is None
    # The first minute's own start is not known; of the numbers 1 to 9 each counts one.
    minutes = vars(told)["_minutes"].bar(START, MINUTE.length)
    assert minutes.volume == 9


def test_a_row_of_which_a_part_is_known_is_left_out_and_its_bar_with_it() -> None:
    told, at = market("okx"), to_ms(START)
    told.traded([row(1, at - 9_000)])
    told.filled([row(1, at - 9_000)])
    told.traded([row(2, at), row(3, at), row(4, at + 1, amount="3", count="3"), row(5, at + 60_000), row(6, at + 120_000)])
    first, second = START, START + MINUTE.length
    assert told.bars(MINUTE, first, second) is None
    assert told.bars(MINUTE, second, second + MINUTE.length) is not None


def test_a_page_that_is_behind_the_stream_settles_nothing() -> None:
    tape = Tape(counts=True)
    tape.take(trade(1))
    tape.fill([trade(1)])
    tape.take(trade(9, 90))
    assert tape.fill([trade(number) for number in range(1, 8)]) is None
    assert tape.hole is not None


def test_two_gaps_are_one_until_a_page_reaches_over_both() -> None:
    tape = Tape(counts=True)
    tape.take(trade(1, 10))
    tape.fill([trade(1, 10)])
    tape.take(trade(4, 40))
    tape.take(trade(9, 90))
    assert tape.fill([trade(number, number * 10) for number in range(1, 6)]) is None
    found, is_whole = tape.fill([trade(number, number * 10) for number in range(1, 10)]) or ([], False)
    assert ([one.id for one in found], is_whole) == (["2", "3", "5", "6", "7", "8"], True)


def test_an_old_trade_told_again_after_its_id_was_forgotten_counts_once() -> None:
    told = market("binance")
    told.traded([row(1, to_ms(START))])
    told.filled([row(1, to_ms(START))])
    for number in range(2, KEPT_IDS + 10):
        told.traded([row(number, to_ms(START) + 60_000 + number)])
    told.traded([row(2, to_ms(START) + 60_002), row(KEPT_IDS + 10, to_ms(START) + 120_000)])
    first = START + MINUTE.length
    assert told.bars(MINUTE, first, first + MINUTE.length) == [Bar(first, *[Decimal(100)] * 4, Decimal(KEPT_IDS + 8))]


def test_a_page_too_short_gives_up_what_it_does_not_reach() -> None:
    tape = Tape(counts=True)
    tape.take(trade(1, 10))
    tape.fill([trade(1, 10)])
    tape.take(trade(9, 90))
    found, is_whole = tape.fill([trade(number, number * 10) for number in range(6, 10)]) or ([], True)
    assert ([one.id for one in found], is_whole) == (["6", "7", "8"], False)
    assert not tape.knows(60, 90)
    assert tape.knows(61, 90)


def test_an_interruption_is_in_doubt_until_a_trade_follows() -> None:
    tape = Tape(counts=True)
    tape.take(trade(1, 10))
    tape.fill([trade(1, 10)])
    tape.take(trade(2, 20))
    tape.interrupted()
    assert tape.knows(11, 20)
    assert not tape.knows(11, 30)
    tape.take(trade(3, 40))
    assert tape.knows(11, 30)
    assert tape.hole is None


def test_what_is_remembered_is_bounded() -> None:
    told = market("binance")
    for number in range(KEPT_IDS + 2_000):
        told.traded([row(number, to_ms(START) + number * 60_000)])
    assert len(vars(told)["_minutes"]) == KEPT_MINUTES
    assert len(vars(told.tape)["_ids"]) == KEPT_IDS
    shelf = Shelf(MINUTE.length)
    one = Decimal(1)
    for number in range(MOST_BARS + 500):
        shelf.add(Bar(START + number * MINUTE.length, one, one, one, one, one))
    assert len(shelf) == MOST_BARS
    assert shelf.between(START, START + MINUTE.length) is None, "what was thrown away is not known"


def test_a_bar_that_was_told_is_cut_when_a_trade_of_its_time_comes_after_all() -> None:
    """Of a venue that does not count its trades, nothing shows that one is still on its way."""
    told = market("bybit")
    at, end = to_ms(START), START + MINUTE.length
    told.traded([row(1, at - 5_000)])
    told.filled([row(1, at - 5_000)])
    told.traded([row(2, at + 1_000)])
    assert told.bars(MINUTE, START, end) is None, "nothing shows that it is over"
    told.traded([row(3, at + 60_000)])
    (before,) = told.bars(MINUTE, START, end) or []
    told.traded([row(4, at + 30_000, "120", "2")])
    (after,) = told.bars(MINUTE, START, end) or []
    assert (before.volume, before.high, after.volume, after.high) == (1, 100, 3, 120)


def test_the_venues_bars_are_kept_once_they_are_settled() -> None:
    told = market("binance")
    one = Decimal(1)
    bars = [Bar(START + number * MINUTE.length, one, one, one, one, one) for number in range(3)]
    end = START + 3 * MINUTE.length
    told.keep(MINUTE, bars, START, end, end + SETTLED - timedelta(milliseconds=1))
    assert told.bars(MINUTE, START, end) is None
    assert told.bars(MINUTE, START, end - MINUTE.length) == bars[:2]
    told.keep(MINUTE, bars, START, end, end + SETTLED)
    assert told.bars(MINUTE, START, end) == bars
    assert told.bars(MINUTE, START - MINUTE.length, end) is None


def test_an_interval_without_a_trade_has_no_bar() -> None:
    minutes = Minutes()
    minutes.add(trade(1, to_ms(START)))
    assert minutes.bar(START + MINUTE.length, MINUTE.length) is None
    assert minutes.bar(START, timedelta(days=7)) is None, "longer than what is kept"


@pytest.mark.parametrize("missing", ["id", "timestamp", "price", "amount"])
def test_a_trade_that_lacks_something_is_refused(missing: str) -> None:
    with pytest.raises(InvalidInput, match="lacks"):
        market("binance").traded([row(1, 1) | {missing: None}])


@pytest.mark.parametrize(("bid", "ask"), [("101", "100"), ("0", "100"), ("-1", "100"), (None, "100"), ("100", None)])
def test_best_prices_that_are_none_are_not_kept(bid: str | None, ask: str | None) -> None:
    told = market("binance")
    told.priced({"last": "100"})
    told.quoted({"bid": "99", "ask": "101", "timestamp": None}, START)
    assert told.ticker() is not None
    told.quoted({"bid": bid, "ask": ask, "timestamp": None}, START)
    assert told.ticker() is None


def test_best_prices_from_the_future_or_the_past_are_dated_right() -> None:
    told = market("bybit")
    told.quoted({"bid": "99", "ask": "101", "timestamp": to_ms(START) + 9_000}, START)
    assert told.quote is not None
    assert told.quote.at == START
    told.quoted({"bid": "1", "ask": "2", "timestamp": to_ms(START) - 1}, START)
    assert told.quote.bid == 99, "older than what is known"
    assert from_ms(to_ms(START)) == START

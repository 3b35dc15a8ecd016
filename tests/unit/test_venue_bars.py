"""Bars of a local venue's tape: nothing printed is lost or counted twice, and every bar goes on from the one before."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.venues.bars import bars
from tests.venues.engine_types import ZERO, Print, Side

D = Decimal
WIDTH = 60_000
PRINTS = st.tuples(st.integers(0, 20 * WIDTH), st.integers(1, 9), st.integers(0, 3), st.sampled_from(Side))
TAPES = st.lists(PRINTS, min_size=1, max_size=40).map(
    lambda rows: [
        Print(number, at, D(price), D(quantity), side) for number, (at, price, quantity, side) in enumerate(sorted(rows))
    ]
)


@given(TAPES, st.integers(0, 5 * WIDTH))
def test_bars_cover_the_tape_without_a_gap(tape: list[Print], later: int) -> None:
    found = bars(tape, WIDTH, tape[-1].at_ms + later, None, None, 1000)
    assert [done for bar in found for done in bar.prints] == tape
    assert all(after.opened_ms - before.opened_ms == WIDTH for before, after in pairwise(found))
    assert all(after.before == before.close for before, after in pairwise(found))
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in found)
    assert sum((bar.volume() for bar in found), ZERO) == sum((done.quantity for done in tape), ZERO)
    assert all(bar.cost(Side.BUY) + bar.cost(Side.SELL) == bar.cost() for bar in found)


@given(TAPES, st.integers(1, 5), st.integers(0, 20))
def test_a_page_is_the_first_bars_from_a_start_and_else_the_last_ones(tape: list[Print], limit: int, minute: int) -> None:
    now = tape[-1].at_ms
    every = bars(tape, WIDTH, now, None, None, 1000)
    assert bars(tape, WIDTH, now, None, None, limit) == every[-limit:]
    later = [bar for bar in every if bar.opened_ms >= minute * WIDTH]
    assert bars(tape, WIDTH, now, minute * WIDTH, None, limit) == later[:limit]
    assert bars(tape, WIDTH, now, None, minute * WIDTH, 1000) == [bar for bar in every if bar.opened_ms <= minute * WIDTH]


def test_an_empty_tape_has_no_bars() -> None:
    assert bars([], WIDTH, 0, None, None, 10) == []

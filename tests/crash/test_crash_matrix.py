"""A desk process that dies at any point loses no order, sends none twice, and leaves nothing bare or reserved.

The points are found by driving the plan once and noting where it waits (`points.py`). A kill is a SIGKILL of a real process
between the ledger file it writes and the venue process it speaks to: the paper venue, and Binance and Kraken in their own words
through unmodified ccxt. `checks.py` holds what must be true afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.crash.connections import At
from tests.crash.paper_venue import LinkFault
from tests.crash.points import Moment
from tests.crash.worlds import Ended, Faults, Worlds
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import FillConflict
from trading_core.domain.orders import OrderState
from trading_core.execution.desk import Desk, Synced

SHARDS = 12
COMMIT, ANSWER = " unit", "the answer"  # whose name is the venue's
LIVE = (At.BINANCE, At.KRAKEN)
every_venue = pytest.mark.parametrize("worlds", At, indirect=True, scope="module")
live_venues = pytest.mark.parametrize("worlds", LIVE, indirect=True, scope="module")

# Where a death is worth the most, as fragments that find the point, in their order.
DANGEROUS = {
    "an intent and its decision are committed": (("enter >", "propose", COMMIT), Moment.DONE),
    "an order is written, and not sent": (("enter >", "_submit", COMMIT), Moment.DONE),
    "an order is sent, and not answered": (("enter >", "submit", "place", ANSWER), Moment.BEGUN),
    "an order is answered, and the answer unread": (("enter >", "submit", "place", ANSWER), Moment.DONE),
    "a fill is being booked": (("enter >", "_book", COMMIT), Moment.BEGUN),
    "a fill is booked, and its stop not written": (("enter >", "_book", COMMIT), Moment.DONE),
    "a stop is sent, and not answered": (("enter >", "protect", "place", ANSWER), Moment.BEGUN),
    "an approval is given": (("approval", "decide_approval", COMMIT), Moment.DONE),
    "a stop is taken back, and the answer unread": (("leave", "_sell", "cancel", ANSWER), Moment.DONE),
    "a sale is sent, and the stop is gone": (("leave", "_sell", "_submit", "place", ANSWER), Moment.BEGUN),
    "a sale is answered, and the rest is bare": (("leave", "_sell", "_submit", "apply", COMMIT), Moment.DONE),
}


# What a run of all tests shows of them at the live venues: a kill there takes longer.
SAMPLE = (
    "an order is written, and not sent",
    "an order is sent, and not answered",
    "a fill is booked, and its stop not written",
    "a stop is sent, and not answered",
    "a sale is sent, and the stop is gone",
)


def _find(worlds: Worlds, fragments: tuple[str, ...]) -> str:
    """The first point with all fragments, one after the other."""
    for point in worlds.points():
        rest = point
        for fragment in fragments:
            _, found, rest = rest.partition(worlds.at.answer if fragment is ANSWER else fragment)
            if not found:
                break
        else:
            return point
    raise AssertionError(f"the desk never waits at {fragments}")


def _kill_at_dangerous(worlds: Worlds, names: Iterable[str]) -> dict[str, Ended]:
    return {name: worlds.kill_at(_find(worlds, DANGEROUS[name][0]), DANGEROUS[name][1]) for name in names}


def _assert_clean(ended: dict[str, Ended]) -> None:
    bad = {where: one.violations for where, one in ended.items() if one.violations}
    assert not bad, "\n".join(f"{where}: {what}" for where, problems in bad.items() for what in problems)


@every_venue
def test_the_desk_waits_where_orders_are_made(worlds: Worlds) -> None:
    points = worlds.points()
    print(f"{len(points)} points:", *points, sep="\n")
    assert len(set(points)) == len(points) >= 25
    assert worlds.kill_at("", Moment.BEGUN).violations == []


def test_a_desk_killed_at_the_dangerous_points_loses_and_repeats_nothing(worlds: Worlds) -> None:
    _assert_clean(_kill_at_dangerous(worlds, DANGEROUS))


@live_venues
def test_a_desk_killed_over_a_real_protocol_loses_and_repeats_nothing(worlds: Worlds) -> None:
    _assert_clean(_kill_at_dangerous(worlds, SAMPLE))


@pytest.mark.slow
@live_venues
def test_a_desk_killed_at_the_other_dangerous_points_loses_and_repeats_nothing(worlds: Worlds) -> None:
    _assert_clean(_kill_at_dangerous(worlds, DANGEROUS.keys() - SAMPLE))


@pytest.mark.parametrize("worlds", [At.PAPER, At.BINANCE], indirect=True, scope="module")
def test_a_desk_that_sends_again_after_a_restart_would_be_found_out(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sync_and_send_again(desk: Desk, principal: Principal) -> Synced:
        for order in (await desk.account(principal)).live_orders:
            if order.state is OrderState.SUBMITTING:
                await desk._submitting.send(order)
        return await sync(desk, principal)

    sync = Desk.sync
    monkeypatch.setattr(Desk, "sync", sync_and_send_again)
    where, moment = DANGEROUS["an order is sent, and not answered"]
    try:
        found = worlds.kill_at(_find(worlds, where), moment).violations
    except FillConflict as conflict:  # Binance takes an id again once its order has ended, and the ledger does not
        found = [f"duplicate: {conflict}"]
    assert any(problem.startswith("duplicate") for problem in found)


def _matrix(worlds: Worlds) -> Iterator[tuple[str, Moment]]:
    """Every point as it begins to wait; where something outlives the process, also when it is done.

    Elsewhere the end of one wait is the beginning of the next: nothing has happened in between.
    """
    for point in worlds.points():
        yield point, Moment.BEGUN
        if point.endswith((COMMIT, worlds.at.answer)):
            yield point, Moment.DONE


@every_venue
@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_desk_killed_at_any_point_loses_and_repeats_nothing(worlds: Worlds, shard: int) -> None:
    kills = list(_matrix(worlds))[shard::SHARDS]
    ended = {f"{moment} {point}": worlds.kill_at(point, moment) for point, moment in kills}
    print(f"{len(ended)} kills, which ended so:", *sorted({one.outcome for one in ended.values()}), sep="\n")
    _assert_clean(ended)


@every_venue
@pytest.mark.slow
def test_a_desk_killed_again_while_it_recovers_loses_and_repeats_nothing(worlds: Worlds) -> None:
    dangerous = [_find(worlds, where) for where, _ in DANGEROUS.values()]
    reading = worlds.at.answer.rpartition(" > ")[2]
    syncing = [_find(worlds, ("desk.py", "sync", "_book_fills", "fills", reading)), worlds.points()[0]]
    ended = {
        f"{first}, then {second}": worlds.kill_at(first, moment, again_at=second)
        for moment in Moment
        for first in dangerous
        for second in syncing
    }
    _assert_clean(ended)


# The n-th call of the plan to each, counted from zero.
ENTRY, STOP, SALE = 0, 1, 5
CALLS = {
    "the entry": ("place", ENTRY),
    "its stop": ("place", STOP),
    "the sale": ("place", SALE),
    "a stop's cancel": ("cancel", 0),
}


@every_venue
@pytest.mark.slow
@pytest.mark.parametrize("fault", LinkFault)
@pytest.mark.parametrize("call", CALLS)
def test_a_bad_line_and_a_kill_together_lose_and_repeat_nothing(worlds: Worlds, call: str, fault: LinkFault) -> None:
    name, number = CALLS[call]
    faults: Faults = {name: [*[None] * number, fault]}
    usual, now = worlds.points(), worlds.points(faults)
    new = [point for point in now if point not in usual]
    assert new, "the fault was not felt"
    kills = [("", Moment.BEGUN), (new[0], Moment.BEGUN), (new[-1], Moment.DONE), (new[len(new) // 2], Moment.DONE)]
    ended = {f"{fault} at {call}, {moment} {point}": worlds.kill_at(point, moment, faults) for point, moment in kills}
    print(*sorted({one.outcome for one in ended.values()}), sep="\n")
    _assert_clean(ended)

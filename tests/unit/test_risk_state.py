"""The account's loss memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain.errors import InvalidInput
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk, TradingState, Withdrawal, fraction_lost

D = Decimal
LIMITS = Limits()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEXT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
FRESH = AccountRisk.opened(D(10_000), NOON)


def test_it_opens_active_with_nothing_lost() -> None:
    assert FRESH.trading_state is TradingState.ACTIVE
    assert (FRESH.peak_equity, FRESH.day_start_equity, FRESH.day) == (10_000, 10_000, date(2026, 3, 1))


def test_the_peak_only_rises_and_the_day_rolls_at_midnight_utc() -> None:
    higher = FRESH.observe(D(11_000), NOON, LIMITS)
    lower = higher.observe(D(10_500), NEXT - timedelta(microseconds=1), LIMITS)
    assert (lower.peak_equity, lower.day_start_equity) == (11_000, 10_000)
    rolled = lower.observe(D(10_500), NEXT, LIMITS)
    assert (rolled.day, rolled.day_start_equity, rolled.peak_equity) == (date(2026, 3, 2), 10_500, 11_000)


def test_the_day_is_the_utc_day_whatever_zone_the_time_came_in() -> None:
    tokyo = datetime.fromisoformat("2026-03-02T08:59:00+09:00")
    assert FRESH.observe(D(9_900), tokyo, LIMITS).day == date(2026, 3, 1)


@pytest.mark.parametrize(("equity", "state"), [("9000.01", TradingState.ACTIVE), ("9000", TradingState.REDUCING)])
def test_the_daily_loss_trips_when_it_reaches_its_limit(equity: str, state: TradingState) -> None:
    seen = FRESH.observe(D(equity), NOON, LIMITS)
    assert seen.trading_state is state
    if state is TradingState.REDUCING:
        assert "daily loss of 10.00% (equity 9000 from 10000) reached the limit of 10.00%" in seen.reason
        assert (seen.changed_by, seen.changed_at) == ("core", NOON)


def test_a_slow_drawdown_over_days_trips() -> None:
    first = FRESH.observe(D(9_500), NEXT, LIMITS)
    second = first.observe(D(9_000), NEXT + timedelta(days=1), LIMITS)
    assert second.trading_state is TradingState.REDUCING
    assert second.reason.startswith("drawdown of 10.00%")


@pytest.mark.parametrize(
    ("value", "peak", "day_start"),
    [("250.5", "11250.5", "10250.5"), ("-10500", "500", "0"), ("-12000", "0", "0"), ("0", "11000", "10000")],
)
def test_a_transfer_moves_the_peak_and_the_days_start_by_what_it_is_worth_and_nothing_else(
    value: str, peak: str, day_start: str
) -> None:
    before = replace(FRESH.observe(D(11_000), NOON, LIMITS), consecutive_losses=2, last_loss_at=NOON)
    after = before.transferred(D(value))
    assert (after.peak_equity, after.day_start_equity) == (D(peak), D(day_start))
    assert replace(after, peak_equity=before.peak_equity, day_start_equity=before.day_start_equity) == before
    with pytest.raises(InvalidInput):
        before.transferred(D("NaN"))


def test_a_tripped_limit_outlives_recovery_and_the_day() -> None:
    tripped = FRESH.observe(D(8_000), NOON, LIMITS)
    later = tripped.observe(D(12_000), NEXT, LIMITS)
    assert (later.trading_state, later.reason) == (TradingState.REDUCING, tripped.reason)
    assert later.day_start_equity == 12_000


def test_an_operator_resumes_from_the_present_equity() -> None:
    tripped = FRESH.on_closed_trade(D(-1), NOON).observe(D(8_000), NOON, LIMITS)
    resumed = tripped.resumed("ada", "reviewed", D(8_000), NOON)
    assert resumed.observe(D(8_000), NOON, LIMITS).trading_state is TradingState.ACTIVE
    assert (resumed.peak_equity, resumed.changed_by, resumed.reason, resumed.consecutive_losses) == (8_000, "ada", "reviewed", 0)
    assert resumed.observe(D(7_200), NOON, LIMITS).trading_state is TradingState.REDUCING


def test_a_halt_holds_until_resumed() -> None:
    halted = FRESH.halted("ada", "venue incident", NOON)
    assert halted.observe(D(1), NEXT, LIMITS).trading_state is TradingState.HALTED
    assert (halted.reason, halted.changed_by, halted.changed_at) == ("venue incident", "ada", NOON)


def test_a_kill_switch_stays_pulled_through_another_halt_until_the_state_changes() -> None:
    killed = FRESH.halted("ada", "incident", NOON, Withdrawal.WORKING)
    assert FRESH.withdrawal is FRESH.halted("ada", "incident", NOON).withdrawal is Withdrawal.NONE
    assert killed.halted("bob", "again", NEXT).withdrawal is Withdrawal.WORKING
    assert killed.halted("bob", "all of it", NEXT, Withdrawal.ALL).withdrawal is Withdrawal.ALL
    assert killed.observe(D(10_000), NEXT, LIMITS).withdrawal is Withdrawal.WORKING
    assert killed.resumed("ada", "over", D(10_000), NEXT).withdrawal is Withdrawal.NONE


def test_an_operator_lets_a_halted_account_take_risk_off_and_losses_go_on_counting() -> None:
    lost = FRESH.on_closed_trade(D(-1), NOON).observe(D(9_500), NOON, LIMITS)
    reduced = lost.halted("ada", "incident", NOON, Withdrawal.ALL).reduced("bob", "sell off", NEXT)
    assert (reduced.trading_state, reduced.withdrawal) == (TradingState.REDUCING, Withdrawal.NONE)
    assert (reduced.changed_by, reduced.reason, reduced.changed_at) == ("bob", "sell off", NEXT)
    assert (reduced.peak_equity, reduced.consecutive_losses, reduced.last_loss_at) == (10_000, 1, NOON)
    with pytest.raises(InvalidInput):
        lost.reduced("bob", "sell off", NOON.replace(tzinfo=None))


def test_losses_in_a_row_are_counted_until_a_win() -> None:
    later = NOON + timedelta(hours=1)
    twice = FRESH.on_closed_trade(D(-1), later).on_closed_trade(D("-0.01"), NOON)
    assert (twice.consecutive_losses, twice.last_loss_at) == (2, later)
    assert twice.on_closed_trade(D(0), later) == twice
    assert twice.on_closed_trade(D(1), later).consecutive_losses == 0


@pytest.mark.parametrize("equity", ["NaN", "Infinity"])
def test_an_unknown_equity_is_not_observed(equity: str) -> None:
    with pytest.raises(InvalidInput):
        FRESH.observe(D(equity), NOON, LIMITS)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInput):
        FRESH.observe(D(1), NOON.replace(tzinfo=None), LIMITS)


@pytest.mark.parametrize(
    ("start", "now", "lost"), [(100, 90, "0.1"), (100, 110, "0"), (0, 0, "0"), (0, -1, "1"), (100, -50, "1.5")]
)
def test_fraction_lost(start: int, now: int, lost: str) -> None:
    assert fraction_lost(D(start), D(now)) == D(lost)


AMOUNTS = st.decimals(min_value=D("-1e9"), max_value=D("1e12"), places=2)


@given(st.lists(st.tuples(AMOUNTS, st.integers(0, 100_000)), min_size=1, max_size=30))
def test_observing_never_forgets(path: list[tuple[Decimal, int]]) -> None:
    risk, now = FRESH, NOON
    for equity, seconds in path:
        now += timedelta(seconds=seconds)
        before, risk = risk, risk.observe(equity, now, LIMITS)
        assert risk.peak_equity >= max(before.peak_equity, equity)
        assert risk.day == now.date()
        if before.trading_state is TradingState.REDUCING:
            assert risk.trading_state is TradingState.REDUCING
        if risk.trading_state is TradingState.ACTIVE:
            assert equity > risk.peak_equity * D("0.9")
            assert equity > risk.day_start_equity * D("0.9")


@pytest.mark.parametrize(
    ("equity", "day_start", "peak", "reason"),
    [
        (8_000, 10_000, 10_000, "daily loss of 20.00% (equity 8000 from 10000)"),
        (8_000, 8_100, 10_000, "drawdown of 20.00% (equity 8000 from 10000)"),
        (9_000, 9_000, 10_000, "drawdown of 10.00% (equity 9000 from 10000)"),
        (-1, 0, 10_000, "daily loss of 100.00% (equity -1 from 0)"),
    ],
)
def test_a_loss_beyond_its_limit_is_told_as_what_it_is(equity: int, day_start: int, peak: int, reason: str) -> None:
    risk = replace(FRESH, day_start_equity=D(day_start), peak_equity=D(peak))
    seen = risk.observe(D(equity), NOON, LIMITS)
    assert seen.trading_state is TradingState.REDUCING
    assert seen.reason.startswith(reason)
    assert seen.reason.endswith("only exits until an operator resumes")

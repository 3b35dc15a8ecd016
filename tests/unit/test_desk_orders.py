"""The order path when everything works, and what it may not do even then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, QUIET, RUN, RUNNER, TRADER, D, Fault, buy, codes, open_world, sell
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, ETH, PLAIN, instrument
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import (
    IntentConflict,
    InvalidInput,
    LedgerError,
    MarketDataUnavailable,
    NotPermitted,
    RunError,
)
from trading_core.domain.intents import Verdict, make_client_order_id
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.execution.forms import WorkingStyle, make_request
from trading_core.persistence.records import RunState
from trading_core.persistence.session import Database
from trading_core.risk.checks import ReasonCode
from trading_core.risk.state import TradingState


async def test_from_a_proposal_to_a_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = buy("10")
        sent = await world.send(entry)
        assert sent.state is OrderState.OPEN
        assert sent.arrival_price == 100
        await world.clock.sleep(1)
        (fill,) = (await world.desk.sync(RUNNER)).fills
        assert (fill.quantity, fill.price, fill.fee.amount) == (10, 100, D("0.02"))
        assert (await world.order(entry)).state is OrderState.FILLED
        (stop,) = await world.orders(Purpose.STOP)
        # What is left after the fee was taken in base, not what was bought.
        assert (stop.request.quantity, stop.request.stop_price, stop.state) == (D("9.98"), 90, OrderState.OPEN)
        assert stop.request.reduce_only
        assert await world.desk.agrees(RUNNER)
        assert (await world.desk.account(RUNNER)).portfolio.balances == {"BTC": D("9.98"), "USDT": D(99_000)}
        assert (await world.desk.sync(RUNNER)).fills == ()
        assert len(world.broker.arrived) == 2


async def test_the_same_proposal_and_submission_twice_is_one_order(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = buy()
        first = await world.desk.propose(TRADER, entry)
        assert await world.desk.propose(TRADER, replace(entry, reason="in other words")) == first
        with pytest.raises(IntentConflict):
            await world.desk.propose(TRADER, replace(entry, quantity=D(11)))
        sent = await world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW)
        assert await world.desk.submit(TRADER, entry.intent_id, WorkingStyle.PASSIVE) == sent
        assert await world.another_desk().submit(TRADER, entry.intent_id, WorkingStyle.NOW) == sent
        assert len(world.broker.arrived) == 1
        assert await world.decisions(entry) == [Verdict.APPROVED]


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELLED])
async def test_what_a_run_wanted_is_not_sent_when_the_run_is_over(tmp_path: Path, state: RunState) -> None:
    """A process that stood still for so long that another one took over must not do what somebody has stopped."""
    async with open_world(tmp_path) as world:
        late, sent = buy("1"), buy("2", leg="sent")
        assert (await world.desk.propose(TRADER, late)).verdict is Verdict.APPROVED
        order = await world.send(sent)
        async with world.database.transaction() as uow:
            await uow.runs.set_state(RUN, state, at=world.clock.now())
        for desk in (world.desk, world.another_desk()):
            with pytest.raises(RunError, match="is over"):
                await desk.submit(TRADER, late.intent_id, WorkingStyle.NOW)
            assert await desk.submit(TRADER, sent.intent_id, WorkingStyle.NOW) == order
        assert len(world.broker.attempted) == 1


async def test_two_submissions_at_once_are_one_order(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("20")
        arrived = len(world.broker.arrived)
        other = await Database.open(tmp_path / "ledger.db")
        desks = (world.desk, world.desk, world.another_desk(database=other))
        async with other:
            await desks[2].sync(RUNNER)
            for intent in (buy("5"), sell("5")):
                await world.desk.propose(TRADER, intent)
                answers = await asyncio.gather(
                    *(desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW) for desk in desks), return_exceptions=True
                )
                assert all(isinstance(answer, Order) for answer in answers), answers
                (own,) = [order for order in await world.orders(intent.purpose) if order.intent_id == intent.intent_id]
                assert [r for r in world.broker.arrived[arrived:] if r.client_order_id == own.client_order_id] == [own.request]
                assert await world.decisions(intent) == [Verdict.APPROVED]
                await world.settle()
        assert await world.desk.agrees(RUNNER)


async def test_what_is_approved_and_not_sent_is_reserved(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        first, second = buy("600"), buy("600", symbol=ETH)
        assert (await world.desk.propose(TRADER, first)).verdict is Verdict.APPROVED
        assert {ReasonCode.INSUFFICIENT_CASH, ReasonCode.TOTAL_EXPOSURE} <= set(codes(await world.desk.propose(TRADER, second)))
        room = await world.desk.affordable(TRADER, replace(second, intent_id="another"))
        assert room == D("388.122")  # (100,000 - 600 × 101 × 1.002) / (101 × 1.002)
        # Denied stays denied, and what it would have taken is free.
        assert codes(await world.desk.submit(TRADER, second.intent_id, WorkingStyle.NOW))
        # The reservation ends with the run.
        async with world.database.transaction() as uow:
            await uow.runs.set_state(RUN, RunState.FAILED, at=world.clock.now())
        await world.start_run("r2")
        assert (await world.desk.propose(TRADER, replace(second, run_id="r2", intent_id="r2"))).verdict is Verdict.APPROVED
        # A leftover of the run that failed, and may be taken up again, has to fit beside what is reserved now.
        assert ReasonCode.INSUFFICIENT_CASH in codes(await world.desk.submit(TRADER, first.intent_id, WorkingStyle.NOW))
        assert world.broker.arrived == []


@pytest.mark.parametrize("files", [1, 2])
async def test_two_proposals_at_once_cannot_spend_the_same_cash(tmp_path: Path, files: int) -> None:
    async with open_world(tmp_path) as world:
        async with await Database.open(tmp_path / "ledger.db") as other:
            rival = world.another_desk(database=world.database if files == 1 else other)
            await rival.sync(RUNNER)
            wanted = [buy("600", leg=str(n), symbol=BTC if n % 2 else ETH) for n in range(6)]
            desks = (world.desk, rival)
            decisions = await asyncio.gather(*(desks[n % 2].propose(TRADER, intent) for n, intent in enumerate(wanted)))
            assert sorted(decision.verdict for decision in decisions) == [Verdict.APPROVED, *[Verdict.DENIED] * 5]


async def test_wanting_the_same_again_gets_what_was_fitted_the_first_time(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        first = await world.desk.propose_fitting(TRADER, buy("5000"))
        assert (first[0].quantity, first[1].verdict) == (D("988.122"), Verdict.APPROVED)  # 100,000 / (101 × 1.002)
        assert await world.desk.propose_fitting(TRADER, buy("5000")) == first
        assert await world.another_desk().propose_fitting(TRADER, buy("5000")) == first


async def test_what_cannot_be_afforded_at_all_is_judged_as_it_was_wanted(tmp_path: Path) -> None:
    async with open_world(tmp_path, cash_reserve=D(1)) as world:
        judged, decision = await world.desk.propose_fitting(TRADER, buy("10"))
        assert (judged.quantity, codes(decision)) == (10, (ReasonCode.INSUFFICIENT_CASH,))


async def test_before_the_first_price_nothing_is_bought(tmp_path: Path) -> None:
    async with open_world(tmp_path, hours=0) as world:
        assert ReasonCode.PRICE_MISSING in codes(await world.desk.propose(TRADER, buy()))


async def test_orders_of_the_day_before_no_longer_count(tmp_path: Path) -> None:
    async with open_world(tmp_path, orders_per_day=2) as world:
        for leg in ("a", "b"):
            await world.send(buy("1", leg=leg, limit_price=D(95)))
        assert codes(await world.desk.propose(TRADER, buy("1", leg="c"))) == (ReasonCode.ORDERS_PER_DAY,)
        world.go(25.5)
        await world.desk.sync(RUNNER)
        for leg in ("d", "e"):
            await world.send(buy("1", leg=leg, limit_price=D(95)))
        assert codes(await world.desk.propose(TRADER, buy("1", leg="f"))) == (ReasonCode.ORDERS_PER_DAY,)


async def test_two_exits_cannot_sell_the_same_base(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        first, second = sell("9"), sell("9", leg="again")
        decisions = await asyncio.gather(*(world.desk.propose(TRADER, intent) for intent in (first, second)))
        assert sorted(decision.verdict for decision in decisions) == [Verdict.APPROVED, Verdict.DENIED]


async def test_the_gate_is_asked_again_before_anything_is_sent(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "120", "120", "120", "120")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        entry = buy()
        assert (await world.desk.propose(TRADER, entry)).verdict is Verdict.APPROVED
        world.go(2.5)
        await world.desk.sync(RUNNER)
        # The limit is now too far from the market.
        assert codes(await world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW)) == (ReasonCode.PRICE_COLLAR,)
        assert await world.decisions(entry) == [Verdict.APPROVED, Verdict.DENIED]
        assert await world.orders() == []


async def test_denied_stays_denied(tmp_path: Path) -> None:
    async with open_world(tmp_path, synced=False) as world:
        entry = buy()
        refused = await world.desk.propose(TRADER, entry)
        assert set(codes(refused)) == {ReasonCode.ACCOUNT_STALE, ReasonCode.VENUE_HEALTH}
        await world.desk.sync(RUNNER)
        # The account is known by now, and the record says no: its reservation was given to others.
        assert await world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW) == refused
        assert await world.desk.propose(TRADER, entry) == refused
        assert world.broker.arrived == []


async def test_nobody_does_what_they_may_not(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = buy()
        needed = {
            Purpose.ENTRY: Action.PROPOSE_ENTRY,
            Purpose.EXIT: Action.PROPOSE_EXIT,
            Purpose.STOP: Action.PROPOSE_STOP,
            Purpose.REBALANCE: Action.PROPOSE_REBALANCE,
        }
        for purpose, action in needed.items():
            all_but = replace(TRADER, actions=TRADER.actions - {action})
            with pytest.raises(NotPermitted, match=action.value):
                await world.desk.propose(all_but, replace(entry, purpose=purpose))
        stranger = replace(TRADER, accounts=frozenset({"somebody's"}))
        for may_not in (stranger, Principal("reader", frozenset({Action.READ_ORDERS}), frozenset({ACCOUNT}))):
            with pytest.raises(NotPermitted):
                await world.desk.propose(may_not, entry)
            with pytest.raises(NotPermitted, match="intent:submit"):
                await world.desk.submit(may_not, entry.intent_id, WorkingStyle.NOW)
            with pytest.raises(NotPermitted, match="intent:approve"):
                await world.desk.decide_approval(may_not, entry.intent_id, approve=True, reason="")
        async with world.database.reading() as uow:
            assert await uow.intents.of_run(RUN) == ()


async def test_nobody_proposes_as_somebody_else(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        forged = await world.desk.propose(TRADER, replace(buy(), proposer=OPERATOR.name))
        assert ReasonCode.ACTOR_IDENTITY in codes(forged)


async def test_a_proposer_who_is_gone_by_submission_is_denied(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = buy()
        await world.desk.propose(TRADER, entry)
        later = world.another_desk(principals={OPERATOR.name: OPERATOR})
        await later.sync(RUNNER)
        answer = await later.submit(OPERATOR, entry.intent_id, WorkingStyle.NOW)
        assert set(codes(answer)) == {ReasonCode.ACTOR_PERMISSION, ReasonCode.ACTOR_ACCOUNT}
        assert world.broker.arrived == []


async def test_an_intent_that_is_not_on_record_is_not_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(LedgerError, match="not on record"):
            await world.desk.submit(TRADER, "nothing", WorkingStyle.NOW)
        await world.desk.propose(TRADER, buy())
        elsewhere = world.another_desk(account_id="paper-2")
        with pytest.raises(LedgerError, match="not on record"):
            await elsewhere.submit(replace(TRADER, accounts=frozenset({"paper-2"})), buy().intent_id, WorkingStyle.NOW)
        assert world.broker.arrived == []


async def test_an_id_that_begins_like_another_does_not_pass_for_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = buy()
        await world.send(entry)
        twin = replace(sell("1"), intent_id=entry.intent_id[:16] + "0" * 48)
        assert make_client_order_id(twin.intent_id) == make_client_order_id(entry.intent_id)
        await world.settle()
        await world.desk.propose(TRADER, twin)
        with pytest.raises(LedgerError, match="share its order id"):
            await world.desk.submit(TRADER, twin.intent_id, WorkingStyle.NOW)


async def test_a_symbol_that_is_not_listed_is_denied_and_not_a_crash(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for wanted in (buy(symbol="DOGE/USDT"), sell(symbol="DOGE/USDT")):
            assert ReasonCode.INSTRUMENT_UNKNOWN in codes(await world.desk.propose(TRADER, wanted))
            assert ReasonCode.INSTRUMENT_UNKNOWN in codes(await world.desk.submit(TRADER, wanted.intent_id, WorkingStyle.NOW))


async def test_a_feed_that_is_down_denies(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.feed.broken = True
        assert ReasonCode.PRICE_MISSING in codes(await world.desk.propose(TRADER, buy()))


async def test_an_amount_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(InvalidInput, match="NaN"):
            await world.desk.propose(TRADER, buy(quantity=D("NaN")))


async def test_working_passively_rests_at_the_bid(tmp_path: Path) -> None:
    async with open_world(tmp_path, half_spread="0.001") as world:
        order = await world.send(buy(), WorkingStyle.PASSIVE)
        assert (order.request.limit_price, order.request.time_in_force) == (D("99.90"), TimeInForce.POST_ONLY)
        await world.settle()
        assert (await world.order(buy())).state is OrderState.OPEN


def test_what_was_approved_bounds_what_is_sent() -> None:
    btc = instrument(BTC)
    ioc = buy(time_in_force=TimeInForce.IOC)
    assert make_request(ioc, btc, None, WorkingStyle.PASSIVE).time_in_force is TimeInForce.IOC
    # A market order has no price that a venue would respect.
    bought = make_request(buy(type=OrderType.MARKET, limit_price=None, worst_price=D("100.005")), btc, None, WorkingStyle.PASSIVE)
    assert (bought.type, bought.limit_price, bought.time_in_force) == (OrderType.LIMIT, D("100.00"), TimeInForce.IOC)
    sold = make_request(sell(worst_price=D("99.995")), btc, None, WorkingStyle.NOW)
    assert (sold.type, sold.limit_price, sold.time_in_force) == (OrderType.LIMIT, D("100.00"), TimeInForce.IOC)
    free = make_request(sell(), btc, None, WorkingStyle.NOW)
    assert (free.type, free.limit_price, free.side, free.reduce_only) == (OrderType.MARKET, None, Side.SELL, True)


async def test_a_new_run_takes_back_what_earlier_ones_left_working(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        resting = buy("3", limit_price=D(95))
        await world.send(resting)
        await world.settle()
        assert await world.desk.cancel_entries(RUNNER, but_run=RUN) == ()
        (cancelled,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert (cancelled.intent_id, cancelled.state) == (resting.intent_id, OrderState.CANCELLED)
        assert await world.covered() == await world.held() == D("9.98")


async def test_a_fill_can_win_the_race_against_the_cancel(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "90", "100"), flat(3)]
    async with open_world(tmp_path, {BTC: bars}) as world:
        resting = buy("3", limit_price=D(95), stop_price=D(85))
        await world.send(resting)
        world.clock.advance_to(world.clock.now() + timedelta(hours=2) - timedelta(milliseconds=100))
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert (order.state, order.filled) == (OrderState.FILLED, 3)
        assert await world.desk.agrees(RUNNER)
        await world.desk.sync(RUNNER)
        assert await world.covered() == await world.held()


async def test_a_cancel_that_takes_too_long_leaves_the_order_as_it_is(tmp_path: Path) -> None:
    slow = replace(PLAIN, latency=timedelta(seconds=10))
    async with open_world(tmp_path, rules=slow) as world:
        await world.send(buy("3", limit_price=D(95)))
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert order.state is OrderState.OPEN
        await world.settle(20)
        assert (await world.order(buy())).state is OrderState.CANCELLED


async def test_an_order_the_venue_does_not_know_is_not_cancelled_into_the_record(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place, world.broker.on_cancel = [Fault.NEVER_ARRIVED], [Fault.REFUSED]
        await world.send(buy())
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert order.state is OrderState.UNKNOWN


async def test_losses_stop_entries_and_are_not_forgotten(tmp_path: Path) -> None:
    async with open_world(tmp_path, daily_loss=D("0.05")) as world:
        await world.hold("500", stop="50")
        seen = await world.desk.observe(RUNNER, {BTC: D(100)}, await world.desk.account(RUNNER))
        assert seen.trading_state is TradingState.ACTIVE
        tripped = await world.desk.observe(RUNNER, {BTC: D(80)}, await world.desk.account(RUNNER))
        assert tripped.trading_state is TradingState.REDUCING
        assert ReasonCode.TRADING_STATE in codes(await world.desk.propose(TRADER, buy("1", symbol=ETH)))
        with pytest.raises(MarketDataUnavailable):
            await world.desk.observe(RUNNER, {}, await world.desk.account(RUNNER))
    async with await Database.open(tmp_path / "ledger.db") as reopened:
        later = world.another_desk(database=reopened)
        assert (await later.account(RUNNER)).risk == tripped
        # The market comes back; the state does not.
        assert (await later.observe(RUNNER, {BTC: D(200)}, await later.account(RUNNER))).trading_state is TradingState.REDUCING
        async with reopened.reading() as uow:
            (change,) = await uow.risk.changes(ACCOUNT)
        assert (change.from_state, change.to_state, change.actor) == ("active", "reducing", "core")


async def test_a_reduced_account_still_sells(tmp_path: Path) -> None:
    async with open_world(tmp_path, daily_loss=D("0.05")) as world:
        await world.hold("500", stop="50")
        await world.desk.observe(RUNNER, {BTC: D(80)}, await world.desk.account(RUNNER))
        await world.send(sell("499"))
        await world.settle()
        assert await world.held() == 0


async def test_a_losing_streak_is_counted_from_finished_sales(tmp_path: Path) -> None:
    bars = {BTC: [flat(0), flat(1), *(flat(n, "80") for n in range(2, 9))], ETH: QUIET[ETH]}
    async with open_world(tmp_path, bars, limits=LIMITS, consecutive_losses=1, cool_down_seconds=3600) as world:
        await world.hold("10", stop="50")
        world.go(2.5)
        await world.desk.sync(RUNNER)
        await world.send(sell("9.98"))
        await world.settle()
        risk = (await world.desk.account(RUNNER)).risk
        assert (risk.consecutive_losses, risk.last_loss_at) == (1, (await world.order(sell())).updated_at)
        assert ReasonCode.CONSECUTIVE_LOSSES in codes(await world.desk.propose(TRADER, buy("1", symbol=ETH)))
        position = (await world.desk.account(RUNNER)).portfolio.position(BTC)
        assert position.realised == Decimal("9.98") * 80 * (1 - Decimal("0.002")) - 1000

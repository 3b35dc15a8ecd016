"""Replacing an order: the new one is sent when the old one has ended, for what it left, and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUNNER, TRADER, D, Fault, World, buy, codes, open_world, sell
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, ETH, at
from trading_core.auth.permissions import Action
from trading_core.domain.errors import AmbiguousOutcome, IntentConflict, InvalidInput, LedgerError, NotPermitted
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.risk.checks import ReasonCode

OLD, NEW = buy("10", leg="old", limit_price=D(95)), buy("10", leg="new", limit_price=D(96))
OLD_ID, NEW_ID = make_client_order_id(OLD.intent_id), make_client_order_id(NEW.intent_id)


async def _replace(world: World, wanted: TradeIntent = NEW, old: str = OLD_ID, desk: Desk | None = None) -> Order | RiskDecision:
    return await (desk or world.desk).replace(TRADER, old, wanted, WorkingStyle.NOW)


def _sent(world: World) -> list[str]:
    return [request.client_order_id for request in world.broker.attempted]


async def test_the_new_order_is_sent_when_the_old_one_has_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        new = await _replace(world)
        assert isinstance(new, Order)
        assert (new.client_order_id, new.request.limit_price, new.request.quantity) == (NEW_ID, 96, 10)
        assert (await world.order(OLD)).state is OrderState.CANCELLED
        assert [report.client_order_id for report in await world.broker.open_orders()] == [NEW_ID]
        # Asked for again, it is the same order.
        assert await _replace(world) == new
        assert await _replace(world, desk=world.another_desk()) == new
        assert _sent(world) == [OLD_ID, NEW_ID]


async def test_the_money_of_the_old_order_is_free_for_the_new_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        old = replace(OLD, quantity=D(900))
        await world.send(old)
        assert codes(await world.desk.propose(TRADER, buy("900", leg="beside", limit_price=D(96))))
        assert isinstance(await _replace(world, replace(NEW, quantity=D(900))), Order)


async def test_what_the_old_order_has_filled_is_not_bought_again(tmp_path: Path) -> None:
    thin = [flat(hour, volume="40") for hour in range(4)]  # 10 % of it trade: 4 of 10
    async with open_world(tmp_path, {BTC: thin}) as world:
        old = replace(OLD, limit_price=D(101))
        await world.send(old)
        world.go(1.5)
        new = await _replace(world)
        assert isinstance(new, Order)
        assert ((await world.order(old)).filled, new.request.quantity) == (4, 6)
        assert await _replace(world) == new
        await world.settle()
        assert await world.covered() == await world.held() == D("3.992")


async def test_a_fill_that_wins_the_race_leaves_nothing_to_replace(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "90", "100"), flat(3)]
    async with open_world(tmp_path, {BTC: bars}) as world:
        old = replace(OLD, stop_price=D(85))
        await world.send(old)
        world.clock.advance_to(at(3) - timedelta(milliseconds=100))  # the cancel arrives when the bar has traded through it
        for _ in range(2):
            answer = await _replace(world)
            assert isinstance(answer, Order)
            assert (answer.client_order_id, answer.state, answer.filled) == (OLD_ID, OrderState.FILLED, 10)
        assert _sent(world) == [OLD_ID]


@pytest.mark.parametrize("fault", [Fault.NEVER_ARRIVED, Fault.REPLY_LOST])
async def test_a_cancel_without_an_answer_sends_nothing_until_the_venue_has_told(tmp_path: Path, fault: Fault) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        world.broker.on_cancel = [fault]
        with pytest.raises(AmbiguousOutcome, match="may still work"):
            await _replace(world)
        assert (await world.order(OLD)).state is OrderState.UNKNOWN
        async with world.database.reading() as uow:
            assert await uow.intents.get(NEW.intent_id) is None
        new = await _replace(world)
        assert isinstance(new, Order)
        assert (await world.order(OLD)).state is OrderState.CANCELLED
        assert _sent(world) == [OLD_ID, NEW_ID]


async def test_an_order_whose_fate_is_unknown_is_not_replaced(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.LATE]
        await world.desk.propose(TRADER, OLD)
        await world.desk.submit(TRADER, OLD.intent_id, WorkingStyle.NOW)
        with pytest.raises(AmbiguousOutcome):
            await _replace(world)
        await world.broker.deliver()  # it works after all
        assert isinstance(await _replace(world), Order)
        assert [report.client_order_id for report in await world.broker.open_orders()] == [NEW_ID]


async def test_an_order_that_never_arrived_is_replaced_in_full(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.NEVER_ARRIVED]
        await world.desk.propose(TRADER, OLD)
        await world.desk.submit(TRADER, OLD.intent_id, WorkingStyle.NOW)
        await world.settle(ABSENT_AFTER.total_seconds())
        new = await _replace(world)
        assert isinstance(new, Order)
        assert new.request.quantity == 10


async def test_a_process_that_dies_between_the_two_is_gone_on_with(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")  # as far as it came
        assert order.state is OrderState.CANCELLED
        successor = world.another_desk()
        await successor.sync(RUNNER)
        new = await _replace(world, desk=successor)
        assert isinstance(new, Order)
        assert _sent(world) == [OLD_ID, NEW_ID]


async def test_a_process_that_dies_before_the_new_order_is_sent_is_gone_on_with(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        await world.desk.cancel_entries(RUNNER, but_run="r2")
        await world.desk.propose(TRADER, NEW)  # as far as it came
        successor = world.another_desk()
        await successor.sync(RUNNER)
        assert isinstance(await _replace(world, desk=successor), Order)
        assert _sent(world) == [OLD_ID, NEW_ID]


async def test_what_was_left_then_is_what_is_sent_however_much_fills_since(tmp_path: Path) -> None:
    thin = [flat(hour, volume="40") for hour in range(6)]
    async with open_world(tmp_path, {BTC: thin}) as world:
        await world.send(replace(OLD, limit_price=D(101)))
        world.go(1.5)
        first = await _replace(world, replace(NEW, limit_price=D(101)))
        world.go(4)
        await world.desk.sync(RUNNER)
        again = await _replace(world, replace(NEW, limit_price=D(101)))
        assert isinstance(first, Order)
        assert isinstance(again, Order)
        assert (again.client_order_id, again.request) == (NEW_ID, first.request)
        assert (await world.order(OLD)).filled + again.filled <= 10


async def test_the_new_order_passes_the_gate_like_any_other(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        assert ReasonCode.INSUFFICIENT_CASH in codes(await _replace(world, replace(NEW, quantity=D(2000))))
        # The old one has ended all the same: this is a cancel and a new order, and not an amendment.
        assert (await world.order(OLD)).state is OrderState.CANCELLED
        assert _sent(world) == [OLD_ID]


async def test_the_new_order_waits_for_an_approval_and_then_goes_on(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=D(955)) as world:
        await world.send(OLD)
        waits = await _replace(world)
        assert isinstance(waits, RiskDecision)
        assert waits.verdict is Verdict.NEEDS_APPROVAL
        assert _sent(world) == [OLD_ID]
        await world.desk.decide_approval(OPERATOR, NEW.intent_id, approve=True, reason="looked at it")
        assert isinstance(await _replace(world), Order)
        assert _sent(world) == [OLD_ID, NEW_ID]


async def test_an_exit_is_replaced_and_the_stop_comes_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        limits = {"type": OLD.type, "limit_price": D(104)}
        resting = await world.send(sell("4", leg="old", **limits))
        new = await _replace(world, sell("4", leg="new", **limits | {"limit_price": D(103)}), resting.client_order_id)
        assert isinstance(new, Order)
        assert new.request.limit_price == 103
        assert await world.covered() == D("5.98")
        await world.settle()
        assert await world.covered() == D("5.98")
        assert await world.desk.agrees(RUNNER)


@pytest.mark.parametrize(
    "wanted",
    [
        buy("10", leg="new", symbol=ETH, limit_price=D(96)),
        sell("10", leg="new"),
        replace(NEW, expires_at=at(1)),
        replace(NEW, expires_at=at(9).replace(tzinfo=None)),
        replace(NEW, quantity=D("NaN")),
        replace(NEW, quantity=D(0)),
    ],
    ids=["another symbol", "the other side", "expired", "no time zone", "not a number", "nothing"],
)
async def test_what_cannot_replace_it_leaves_it_alone(tmp_path: Path, wanted: TradeIntent) -> None:
    async with open_world(tmp_path) as world:
        before = await world.send(OLD)
        with pytest.raises(InvalidInput):
            await _replace(world, wanted)
        assert await world.order(OLD) == before


@pytest.mark.parametrize("action", [Action.PROPOSE_ENTRY, Action.SUBMIT])
async def test_nobody_replaces_what_they_could_not_send(tmp_path: Path, action: Action) -> None:
    async with open_world(tmp_path) as world:
        before = await world.send(OLD)
        with pytest.raises(NotPermitted, match=action.value):
            await world.desk.replace(replace(TRADER, actions=TRADER.actions - {action}), OLD_ID, NEW, WorkingStyle.NOW)
        assert await world.order(OLD) == before


@pytest.mark.parametrize("taken", [OLD, replace(NEW, limit_price=D(94)), replace(NEW, quantity=D(11))])
async def test_an_id_that_is_taken_is_not_used_again(tmp_path: Path, taken: TradeIntent) -> None:
    async with open_world(tmp_path) as world:
        before = await world.send(OLD)
        await world.desk.propose(TRADER, taken)
        with pytest.raises(IntentConflict, match="another content"):
            await _replace(world, replace(NEW, intent_id=taken.intent_id))
        with pytest.raises(IntentConflict, match="another content"):
            await _replace(world, OLD)  # in place of itself
        assert await world.order(OLD) == before


async def test_the_cores_stop_is_not_replaced_by_hand(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        (stop,) = await world.orders(Purpose.STOP)
        with pytest.raises(InvalidInput, match="Replace an entry or an exit"):
            await _replace(world, sell("9"), stop.client_order_id)
        assert await world.covered() == D("9.98")


async def test_an_order_of_nobody_or_of_another_account_is_not_replaced(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(LedgerError, match="not on record"):
            await _replace(world, old="nothing")
        before = await world.send(OLD)
        async with world.database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened("paper-2", "USDT", D(100_000)), "paper", world.clock.now())
        both = replace(TRADER, accounts=frozenset({ACCOUNT, "paper-2"}))
        with pytest.raises(LedgerError, match="not on record"):
            await world.another_desk(account_id="paper-2").replace(both, OLD_ID, NEW, WorkingStyle.NOW)
        assert await world.order(OLD) == before


async def test_an_order_in_what_is_no_longer_listed_ends_and_nothing_follows(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(OLD)
        later = world.another_desk(instruments={ETH: world.desk.instruments[ETH]})
        await later.sync(RUNNER)
        assert ReasonCode.INSTRUMENT_UNKNOWN in codes(await _replace(world, desk=later))
        assert (await world.order(OLD)).state is OrderState.CANCELLED

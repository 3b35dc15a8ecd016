"""Entries over several accounts: the best first, the next only after a provable no, and never two at once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.desk_cases import RUN, TRADER, Died, Fault, sell
from tests.unit.feeds import flat
from tests.unit.paper_exchange import BTC, at
from tests.unit.routing_cases import WHO, Process, Venues, venues, wanted
from trading_core.auth.permissions import operator
from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.manager import Route
from trading_core.domain.errors import BrokerUnavailable, ConfigurationError, InvalidInput, NotPermitted
from trading_core.domain.intents import RiskDecision, Verdict, make_intent_id
from trading_core.domain.orders import Order, OrderState, Purpose, Side, TimeInForce
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.routing import Entered, EntryRouter

NOW = WorkingStyle.NOW


@pytest.fixture
async def x(tmp_path: Path) -> AsyncIterator[Venues]:
    async with venues(tmp_path) as opened:
        yield opened


@pytest.fixture
async def process(x: Venues) -> Process:
    return await x.process()


def order(entered: Entered) -> Order:
    assert isinstance(entered.result, Order), entered
    return entered.result


def tried(entered: Entered) -> list[str]:
    return [attempt.account_id for attempt in entered.attempts]


async def test_it_enters_where_the_fee_is_least(x: Venues, process: Process) -> None:
    entered = await process.enter()
    assert tried(entered) == ["cheap"]
    assert order(entered).state is OrderState.OPEN
    assert [name for name, _ in x.arrived] == ["cheap"]
    assert [route.account_id for route in entered.routes] == ["cheap", "fair", "dear"]


async def test_after_a_refusal_the_next_is_tried_and_each_attempt_is_on_record(x: Venues, process: Process) -> None:
    x.lines["cheap"].on_place = [Fault.REFUSED]
    entered = await process.enter()
    assert tried(entered) == ["cheap", "fair"]
    refused, working = (attempt.result for attempt in entered.attempts)
    assert isinstance(refused, Order)
    assert isinstance(working, Order)
    assert (refused.state, refused.account_id) == (OrderState.REFUSED, "cheap")
    assert (working.state, working.account_id) == (OrderState.OPEN, "fair")
    assert refused.intent_id != working.intent_id
    assert [len(await x.orders(name)) for name in ("cheap", "fair", "dear")] == [1, 1, 0]


async def test_when_all_refuse_the_last_refusal_is_the_answer(x: Venues, process: Process) -> None:
    for line in x.lines.values():
        line.on_place = [Fault.REFUSED]
    entered = await process.enter()
    assert tried(entered) == ["cheap", "fair", "dear"]
    assert order(entered).state is OrderState.REFUSED
    assert x.arrived == []


async def test_an_open_breaker_that_kept_the_order_lets_the_next_account_have_it(x: Venues, process: Process) -> None:
    await process.manager.routes(BTC, Side.BUY, wanted()("cheap").quantity)
    plan = process.router._routes

    async def then_it_fails(symbol: str, side: Side, quantity: Decimal) -> Sequence[Route]:
        routes = await plan(symbol, side, quantity)
        x.lines["cheap"].reads_fail = True
        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                await process.accounts["cheap"].broker.balances()
        return routes

    process.router._routes = then_it_fails
    entered = await process.enter()
    assert process.accounts["cheap"].broker.breaker.state is BreakerState.OPEN
    assert tried(entered) == ["cheap", "fair"]
    kept = entered.attempts[0].result
    assert isinstance(kept, Order)
    assert "never left the desk" in kept.reason
    assert x.lines["cheap"].attempted == []


async def test_a_venue_that_is_known_to_be_down_is_left_out_of_the_plan(x: Venues, process: Process) -> None:
    x.lines["cheap"].reads_fail = True
    entered = await process.enter()
    assert tried(entered) == ["fair"]
    down = next(route for route in entered.routes if route.account_id == "cheap")
    assert not down.usable
    assert "line is down" in down.reason
    (plan,) = await x.plans()
    assert "line is down" in str(plan)


@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.NEVER_ARRIVED, Fault.LATE])
async def test_an_unknown_order_ends_it_whatever_became_of_it(x: Venues, process: Process, fault: Fault) -> None:
    x.lines["cheap"].on_place = [fault]
    for _ in range(2):
        entered = await process.enter()
        assert tried(entered) == ["cheap"]
        assert order(entered).state is OrderState.UNKNOWN
    assert len(x.lines["cheap"].attempted) == 1


async def test_an_order_that_the_venue_does_not_find_may_still_arrive_and_is_not_replaced(x: Venues, process: Process) -> None:
    x.lines["cheap"].on_place = [Fault.LATE]
    await process.enter()
    await x.clock.sleep(11)
    await process.sync()
    again = await process.enter()
    assert tried(again) == ["cheap"]
    assert order(again).state is OrderState.REFUSED  # absent, says the venue
    await x.lines["cheap"].deliver()
    await process.sync()
    assert order(await process.enter()).state is OrderState.OPEN
    assert len(x.arrived) == 1


async def test_a_partly_filled_order_ends_it_also_when_the_venue_drops_the_rest(tmp_path: Path) -> None:
    thin = {BTC: [flat(hour, volume="20") for hour in range(100)]}
    async with venues(tmp_path, bars=thin) as x:
        process = await x.process()
        first = order(await process.enter(wanted(time_in_force=TimeInForce.IOC)))
        await x.clock.sleep(1)
        await process.sync()
        again = order(await process.enter(wanted(time_in_force=TimeInForce.IOC)))
        assert again.client_order_id == first.client_order_id
        assert again.state.is_final
        assert 0 < again.filled < again.request.quantity
        assert len(x.arrived) == 1


async def test_the_gates_denial_is_final_and_is_not_taken_elsewhere(tmp_path: Path) -> None:
    async with venues(tmp_path, max_order_notional=10) as x:
        process = await x.process()
        for _ in range(2):
            entered = await process.enter()
            assert tried(entered) == ["cheap"]
            assert isinstance(entered.result, RiskDecision)
            assert entered.result.verdict is Verdict.DENIED
        assert x.arrived == []


async def test_what_waits_for_an_approval_waits_at_its_account(tmp_path: Path) -> None:
    async with venues(tmp_path, approval_above_notional=10, four_eyes=False) as x:
        process = await x.process()
        entered = await process.enter()
        assert isinstance(entered.result, RiskDecision)
        assert entered.result.verdict is Verdict.NEEDS_APPROVAL
        await process.desks["cheap"].decide_approval(
            operator("olga", "cheap"), entered.result.intent_id, approve=True, reason="fine"
        )
        assert tried(await process.enter()) == ["cheap"]
        assert [name for name, _ in x.arrived] == ["cheap"]


async def test_wanting_the_same_again_sends_nothing_twice_and_keeps_to_the_plan(x: Venues, process: Process) -> None:
    x.lines["cheap"].on_place = [Fault.REFUSED]
    first = await process.enter()
    x.lines["fair"].reads_fail = True  # by now it would be ranked last
    for other in (process, await x.process()):
        again = await other.enter()
        assert tried(again) == ["cheap", "fair"]
        assert order(again).client_order_id == order(first).client_order_id
    assert len(x.arrived) == 1
    assert len(await x.plans()) == 1


async def test_killed_while_the_first_order_was_on_its_way_nothing_goes_elsewhere(x: Venues, process: Process) -> None:
    for fault in (Fault.DIES_BEFORE, Fault.DIES_AFTER):
        leg = wanted(leg=fault.name)
        x.lines["cheap"].on_place = [fault]
        with pytest.raises(Died):
            await process.enter(leg)
        entered = await (await x.process(("fair", "dear", "cheap"))).enter(leg)
        assert tried(entered) == ["cheap"]
        assert not order(entered).state.is_final or order(entered).filled
    assert len(x.arrived) == 1


async def test_killed_between_two_attempts_the_next_process_goes_on_with_the_second(x: Venues, process: Process) -> None:
    x.lines["cheap"].on_place = [Fault.REFUSED]
    x.lines["fair"].on_place = [Fault.DIES_BEFORE]
    died_before_the_second = asyncio.create_task(process.enter())
    with pytest.raises(Died):
        await died_before_the_second
    # And once more with a first attempt on record and nothing of a second.
    leg = wanted(leg="again")
    x.lines["cheap"].on_place = [Fault.REFUSED]

    async def dies(*_: object) -> bool:
        raise Died

    process.router._took_nothing = dies
    with pytest.raises(Died):
        await process.enter(leg)
    entered = await (await x.process()).enter(leg)
    assert tried(entered) == ["cheap", "fair"]
    assert [name for name, _ in x.arrived] == ["fair"]


async def test_killed_after_the_plan_and_before_the_first_attempt_the_plan_stands(x: Venues, process: Process) -> None:
    async def dies(*_: object) -> Order:
        raise Died

    process.router._attempt = dies
    with pytest.raises(Died):
        await process.enter()
    x.lines["cheap"].on_place = [Fault.REFUSED]
    entered = await (await x.process()).enter()
    assert tried(entered) == ["cheap", "fair"]
    assert entered.routes == ()
    assert len(await x.plans()) == 1


async def test_two_processes_that_rank_differently_enter_once(x: Venues, process: Process) -> None:
    other = await x.process()
    ranked = other.router._routes

    # Each has found no plan before either has one.
    both_are_here = asyncio.Barrier(2)

    async def as_they_are(symbol: str, side: Side, quantity: Decimal) -> list[Route]:
        routes = list(await ranked(symbol, side, quantity))
        await both_are_here.wait()
        return routes

    async def upside_down(symbol: str, side: Side, quantity: Decimal) -> list[Route]:
        return (await as_they_are(symbol, side, quantity))[::-1]

    process.router._routes, other.router._routes = as_they_are, upside_down
    x.lines["cheap"].on_place = x.lines["dear"].on_place = [Fault.NEVER_ARRIVED]
    results = await asyncio.gather(process.enter(), other.enter())
    assert len({order(entered).client_order_id for entered in results}) == 1
    assert sum(len(line.attempted) for line in x.lines.values()) == 1
    assert len(await x.plans()) == 1


async def test_a_process_with_fewer_or_more_accounts_does_not_plan_anew(x: Venues) -> None:
    few = await x.process(("dear", "fair"))
    x.lines["fair"].on_place = [Fault.NEVER_ARRIVED]
    assert tried(await few.enter()) == ["fair"]
    assert tried(await (await x.process()).enter()) == ["fair"]
    with pytest.raises(ConfigurationError, match=r"planned for account 'fair'.*Nothing was sent"):
        await (await x.process(("dear", "cheap"))).enter()
    assert x.arrived == []


async def test_without_a_usable_account_nothing_is_sent_and_nothing_is_planned(x: Venues, process: Process) -> None:
    for line in x.lines.values():
        line.reads_fail = True
    entered = await process.enter()
    assert (entered.attempts, entered.result) == ((), None)
    assert await x.plans() == []
    for line in x.lines.values():
        line.reads_fail = False
    assert len({route.account_id for route in entered.routes}) == 3
    x.clock.advance_to(at(1.1))
    assert tried(await process.enter()) == ["cheap"]


async def test_a_sale_is_not_routed(process: Process) -> None:
    with pytest.raises(InvalidInput, match="is not routed"):
        await process.enter(lambda name: sell("1", account_id=name))


async def test_a_sale_goes_to_the_account_that_holds_it_and_to_no_other(x: Venues, process: Process) -> None:
    await process.enter()
    await x.clock.sleep(1)
    await process.sync()
    x.lines["cheap"].on_place = [Fault.NEVER_ARRIVED] * 9
    with pytest.raises(InvalidInput, match=r"'fair' holds no BTC/USDT.*Nothing was sold.*held: cheap"):
        await process.router.leave(WHO, sell("1", account_id="fair"), NOW)
    sold = await process.router.leave(WHO, sell("1", account_id="cheap"), NOW)
    assert isinstance(sold, Order)
    assert sold.account_id == "cheap"
    assert {name for name, _ in x.arrived} == {"cheap"}
    with pytest.raises(InvalidInput, match="leaves nothing"):
        await process.router.leave(WHO, wanted()("cheap"), NOW)


async def test_intents_that_are_not_one_entry_are_refused(x: Venues, process: Process) -> None:
    one = wanted()
    bad = {
        "another account": lambda name: one("cheap"),
        "one id": lambda name: replace(one(name), intent_id=make_intent_id(RUN, Purpose.ENTRY, BTC, "same")),
        "two symbols": lambda name: replace(one(name), symbol="ETH/USDT" if name == "fair" else BTC),
        "two runs": lambda name: replace(one(name), run_id=f"{RUN}-{name}"),
    }
    for broken in bad.values():
        with pytest.raises(InvalidInput, match="Nothing was sent"):
            await process.enter(broken)
    with pytest.raises(InvalidInput, match="no account is open"):
        await EntryRouter({}, x.database, process.manager.routes, x.clock).enter(WHO, one, NOW)
    assert x.arrived == []


async def test_who_may_not_propose_there_enters_nowhere(x: Venues) -> None:
    process = await x.process(who=replace(TRADER, accounts=frozenset({"dear"})))
    with pytest.raises(NotPermitted):
        await process.enter()
    assert x.arrived == []


async def test_real_and_paper_accounts_are_never_mixed(x: Venues, process: Process) -> None:
    process.accounts["fair"].broker.is_paper = False
    with pytest.raises(ConfigurationError, match="partly real and partly paper"):
        await process.enter()
    assert x.arrived == []


OUTCOMES = [None, *(fault for fault in Fault if not fault.value.startswith("hangs"))]
STEPS = ["enter", "enter", "restart", "sync", "deliver", "wait", "cut", "mend"]


@settings(max_examples=20, deadline=None)
@given(st.data())
async def test_over_any_outcomes_at_most_one_order_ever_reaches_a_venue(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with venues(Path(folder)) as x:
            for line in x.lines.values():
                line.on_place = data.draw(st.lists(st.sampled_from(OUTCOMES), max_size=3))
            process = await x.process()
            for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=6)):
                await take(step, x, process, data)
                if step == "restart":
                    process = await started_again(x)
                await only_one_may_work(x)
            for line in x.lines.values():
                await line.deliver()
            assert len(x.arrived) <= 1


async def started_again(x: Venues) -> Process:
    """A process that got through its first look at the venues: one may die while it sends the stop of what it finds there."""
    while True:  # a line knows at most three faults
        with suppress(Died):
            return await x.process()


async def take(step: str, x: Venues, process: Process, data: st.DataObject) -> None:
    line = x.lines[data.draw(st.sampled_from(sorted(x.lines)))]
    if step == "enter":
        with suppress(Died):
            await process.enter()
    elif step == "sync":
        with suppress(Died):
            await process.sync()
    elif step == "deliver":
        await line.deliver()
    elif step == "wait":
        await x.clock.sleep(data.draw(st.sampled_from([1, 12, 61])))
        x.now += 12
    elif step in ("cut", "mend"):
        line.reads_fail = step == "cut"


async def only_one_may_work(x: Venues) -> None:
    """Of all entries on record, at most one is live, unknown or filled; and at most one has reached any venue."""
    entries = [one for name in x.lines for one in await x.orders(name) if one.purpose is Purpose.ENTRY]
    assert sum(one.is_live or one.filled > 0 for one in entries) <= 1
    assert len(x.arrived) <= 1

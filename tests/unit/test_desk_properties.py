"""What holds for the order path whatever is wanted, whatever the market does and however bad the line is."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.desk_cases import ACCOUNT, LIMITS, RUN, RUNNER, TRADER, D, Died, Fault, World, buy, open_world, sell
from tests.unit.feeds import bar
from tests.unit.paper_exchange import BTC, ETH, instrument
from trading_core.brokers.paper.rules import PaperRules
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable
from trading_core.domain.intents import TradeIntent, Verdict, make_intent_id
from trading_core.domain.market import Bar
from trading_core.domain.money import ZERO
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.execution.book import read_book
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.forms import WorkingStyle

HOURS = 12
ANY_PRICE_AGE = LIMITS.model_copy(update={"max_price_age_seconds": 86_400, "max_account_age_seconds": 86_400})
BAD_LINE = [fault for fault in Fault if fault not in (Fault.HANGS, Fault.HANGS_AND_LOST)]
CANCEL_FAULTS = [Fault.REFUSED, Fault.NEVER_ARRIVED, Fault.REPLY_LOST]
_cents = st.integers(9000, 11000).map(lambda n: D(n) / 100)


@dataclass(frozen=True)
class Trade:
    """Propose and submit, `twice` at once from two tasks. `price`, `stop` and `target` are fractions of the market's."""

    symbol: str
    side: Side
    kind: OrderType
    quantity: D
    price: D
    stop: D
    tif: TimeInForce
    style: WorkingStyle
    twice: bool
    target: D | None = None
    lasts: float | None = None


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Break:
    """What goes wrong with the next calls."""

    place: tuple[Fault | None, ...]
    cancel: tuple[Fault | None, ...]


@dataclass(frozen=True)
class Do:
    what: str


Step = Trade | Wait | Break | Do


@st.composite
def markets(draw: st.DrawFn) -> list[Bar]:
    """Hourly bars around 100, some missing, some thin, some without a trade; the first is always there."""
    bars = []
    for hour in range(HOURS):
        low, first, last, high = sorted(draw(st.lists(_cents, min_size=4, max_size=4)))
        o, c = draw(st.permutations([first, last]))
        volume = draw(st.sampled_from(["0", "37", "500", "100000"]))
        if hour == 0 or draw(st.integers(0, 5)):
            bars.append(bar(hour, str(o), str(high), str(low), str(c), volume if hour else "100000"))
    return bars


_trades = st.builds(
    Trade,
    symbol=st.sampled_from([BTC, ETH]),
    side=st.sampled_from(Side),
    kind=st.sampled_from([OrderType.MARKET, OrderType.LIMIT]),
    quantity=st.sampled_from([D("0.011"), D("0.5"), D("40.001"), D(300), D(600)]),
    price=st.sampled_from([D("0.94"), D("0.98"), D(1), D("1.02"), D("1.04")]),
    stop=st.sampled_from([D("0.7"), D("0.9"), D("0.99"), D("1.01")]),
    tif=st.sampled_from([TimeInForce.GTC, TimeInForce.IOC]),
    style=st.sampled_from(WorkingStyle),
    twice=st.booleans(),
    target=st.sampled_from([None, D("1.06"), D("1.1")]),
    lasts=st.sampled_from([None, None, 5.0, 1800.0]),
)
# Every plan begins with two holdings, one of them with a target that is soon reached, and an order that rests.
_HOLDING = Trade(BTC, Side.BUY, OrderType.MARKET, D("40.001"), D(1), D("0.97"), TimeInForce.GTC, WorkingStyle.NOW, False)
_RESTING = replace(_HOLDING, kind=OrderType.LIMIT, quantity=D("0.5"), price=D("0.98"))
_BEGINNING = [_HOLDING, replace(_HOLDING, symbol=ETH, stop=D("0.8"), target=D("1.06")), _RESTING]
_waits = st.builds(Wait, st.sampled_from([0.1, 1.0, ABSENT_AFTER.total_seconds(), 1800.0, 3600.0, 7200.0]))
_place_faults = st.lists(st.one_of(st.none(), st.sampled_from(BAD_LINE)), max_size=4).map(tuple)
_cancel_faults = st.lists(st.one_of(st.none(), st.sampled_from(CANCEL_FAULTS)), max_size=2).map(tuple)
_breaks = st.builds(Break, _place_faults, _cancel_faults)
_rest = st.sampled_from(["deliver", "restart", "cancel entries", "line down", "line up"]).map(Do)
_plans = st.lists(st.one_of(_trades, _trades, _waits, _breaks, _rest, st.just(Do("replace"))), min_size=6, max_size=16)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), markets(), _plans)
def test_the_books_are_true_and_nothing_is_sent_that_was_not_allowed(btc: list[Bar], eth: list[Bar], plan: list[Step]) -> None:
    asyncio.run(_play({BTC: btc, ETH: eth}, plan))


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), markets(), _plans)
def test_the_books_are_true_over_many_plans(btc: list[Bar], eth: list[Bar], plan: list[Step]) -> None:
    asyncio.run(_play({BTC: btc, ETH: eth}, plan))


async def _play(bars: dict[str, list[Bar]], plan: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(Path(folder), bars, limits=ANY_PRICE_AGE, rules=PaperRules(seed=5), half_spread="0.0003") as world:
            for number, step in enumerate([*_BEGINNING, *plan]):
                try:
                    await _take(world, step, number)
                    await world.desk.sync(RUNNER)
                except Died:
                    world.desk = world.another_desk()
                except BrokerUnavailable:
                    continue
                await _check_always(world)
                await _check_memory(world)
            await _calm_down(world)
            await _check_always(world)
            await _check_memory(world)
            assert await world.desk.agrees(RUNNER)
            await _check_everything_is_protected(world)
            await _check_nothing_stays_reserved(world)


async def _take(world: World, step: Step, number: int) -> None:
    match step:
        case Trade():
            await _trade(world, step, number)
        case Wait(seconds):
            await world.clock.sleep(seconds)
        case Break(place, cancel):
            world.broker.on_place, world.broker.on_cancel = list(place), list(cancel)
        case Do("deliver"):
            await world.broker.deliver()
        case Do("restart"):
            world.desk = world.another_desk()
        case Do("replace"):
            await _replace(world, number)
        case Do("cancel entries"):
            await world.desk.cancel_entries(RUNNER, but_run="a later one")
        case Do(line):
            world.broker.reads_fail = line == "line down"


async def _trade(world: World, step: Trade, number: int) -> None:
    is_limit, listed = step.kind is OrderType.LIMIT, instrument(step.symbol)
    ticker = await world.feed.ticker(step.symbol, as_of=world.clock.now())
    assert ticker is not None
    common = {
        "symbol": step.symbol,
        "type": step.kind,
        "limit_price": listed.floor_price(ticker.mid * step.price) if is_limit else None,
        "time_in_force": step.tif if is_limit else TimeInForce.GTC,
        "expires_at": None if step.lasts is None else world.clock.now() + timedelta(seconds=step.lasts),
    }
    if step.side is Side.BUY:
        # As the desk's agents do: no more than the gate would let pass.
        target = None if step.target is None else listed.ceil_price(ticker.mid * step.target)
        stop = listed.floor_price(ticker.mid * step.stop)
        intent = buy(step.quantity, leg=str(number), stop_price=stop, take_profit=target, **common)
        room = await world.desk.affordable(TRADER, intent)
        intent = replace(intent, quantity=room) if room else intent
    else:
        held = listed.floor_quantity(await world.held(step.symbol))
        intent = sell(min(held, step.quantity) or D(1), leg=str(number), **common)
    await world.desk.propose(TRADER, intent)
    # Whatever the gate said: an agent that submits a denied intent must get nowhere.
    desks = [world.desk, world.another_desk()] if step.twice else [world.desk]
    answers = await asyncio.gather(*(desk.submit(TRADER, intent.intent_id, step.style) for desk in desks), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


async def _replace(world: World, number: int) -> None:
    """The oldest order that is not a stop, by the same again under another id."""
    view = await world.desk.account(RUNNER)
    order = next((order for order in view.live_orders if order.purpose is not Purpose.STOP), None)
    if order is None:
        return
    async with world.database.reading() as uow:
        intent = await uow.intents.get(order.intent_id)
    assert intent is not None
    new_id = make_intent_id(RUN, intent.purpose, intent.symbol, f"in place {number}")
    wanted = replace(intent, intent_id=new_id, proposer=TRADER.name, quantity=order.request.quantity, expires_at=None)
    with suppress(AmbiguousOutcome):
        await world.desk.replace(TRADER, order.client_order_id, wanted, WorkingStyle.NOW)


async def _calm_down(world: World) -> None:
    """The line is good again, and everything on its way arrives."""
    world.broker.on_place, world.broker.on_cancel, world.broker.reads_fail = [], [], False
    await world.broker.deliver()
    for _ in range(3):
        await world.settle(ABSENT_AFTER.total_seconds())
    await world.desk.cancel_entries(RUNNER, but_run="a later one")
    for _ in range(3):
        await world.settle(ABSENT_AFTER.total_seconds())


async def _check_always(world: World) -> None:
    sent = [request.client_order_id for request in world.broker.attempted]
    assert len(sent) == len(set(sent)), "an order was sent twice"
    portfolio = (await world.desk.account(RUNNER)).portfolio
    assert all(amount >= 0 for amount in portfolio.balances.values())
    async with world.database.reading() as uow:
        intents = {intent.intent_id: intent for intent in await uow.intents.of_run(RUN)}
        orders = {order.client_order_id: order for order in await uow.orders.all(portfolio.account_id)}
        verdicts = {key: [said.verdict for said in await uow.intents.decisions_of(key)] for key in intents}
    for request in world.broker.attempted:
        order = orders[request.client_order_id]
        assert order.request == request
        intent = intents[order.intent_id]
        assert verdicts[intent.intent_id] == [Verdict.APPROVED]
        assert _within(request.quantity, request.limit_price, intent)
    assert set(sent) == set(orders), "what is written down is given to the broker, and nothing else is"


def _within(quantity: D, limit: D | None, intent: TradeIntent) -> bool:
    if quantity > intent.quantity:
        return False
    if intent.limit_price is None:
        return limit is None
    assert limit is not None
    return limit <= intent.limit_price if intent.side is Side.BUY else limit >= intent.limit_price


async def _check_everything_is_protected(world: World) -> None:
    view = await world.desk.account(RUNNER)
    for symbol, position in view.portfolio.held().items():
        sales = [order for order in view.live_orders if order.symbol == symbol and order.side is Side.SELL]
        bare = instrument(symbol).floor_quantity(position.quantity - sum((order.remaining for order in sales), ZERO))
        assert bare >= 0, "more is promised than is held"
        async with world.database.reading() as uow:
            entry, _ = await uow.intents.last_entry(view.portfolio.account_id, symbol) or (None, None)
        ticker = await world.feed.ticker(symbol, as_of=world.clock.now())
        assert entry is not None
        assert entry.stop_price is not None
        assert ticker is not None
        assert instrument(symbol).is_dust(bare, min(entry.stop_price, ticker.last)), f"{bare} {symbol} have no stop"


async def _check_memory(world: World) -> None:
    """What the desk remembers of its books is what is on record."""
    known = await world.desk._ledger.book()
    day = world.clock.now() - timedelta(days=1)
    async with world.database.reading() as uow:
        read = await read_book(uow, ACCOUNT, await uow.claims.version(ACCOUNT), day)
    lately = [one for one in known.recent if one.at >= day]
    assert sorted(one.intent_id for one in lately) == sorted(one.intent_id for one in read.recent)
    assert replace(known, recent=()) == replace(read, recent=())


async def _check_nothing_stays_reserved(world: World) -> None:
    await world.end_run()
    tickers = await world.desk.inputs.tickers(BTC)
    book = await world.desk._ledger.book()
    inputs = world.desk.inputs.read(book, TRADER, tickers, has_approval=False, but="")
    assert all(order.side is Side.SELL for order in inputs.open_orders)
    at_venue = await world.broker.open_orders()
    assert {order.client_order_id for order in inputs.open_orders} == {report.client_order_id for report in at_venue}
    assert all(order.purpose is not Purpose.ENTRY for order in inputs.open_orders)

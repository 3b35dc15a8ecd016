"""Putting an account on the ledger: bought at the paper exchange through the core's own gate, long before the decision.

No row is written by hand. Each holding is a limit order at the ask that fills at its price, so that quantity, cost and cash are
what the scenario says; the desk then protects it as it protects everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from evals.feeds import FoundingQuotes, bid_below
from evals.schema import Account, Scenario
from graph.system import TradingSystem
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import TradeIntent, make_intent_id
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Order, OrderType, Purpose, Side
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.risk_record import load_risk, save_risk
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

LONG_AGO = timedelta(days=60)  # before the decision: out of sight of every window and every tool
RUN = "founding"
_DEFAULT_STOP = Decimal("0.9")  # of the price at the decision
_UNDER = Decimal("0.5")  # of its price: the stop of a purchase whose real one follows
_ROOM = Decimal("1.2")  # above a venue's minimum
# The account is what the scenario says, over the desk's limits too: nothing here is a decision that they should bind.
_NO_LIMITS = Limits(
    max_order_notional=Decimal("1e15"),
    approval_above_notional=None,
    price_collar=ONE,
    market_order_margin=ONE,
    fat_finger_factor=Decimal(1000),
    cash_reserve=ZERO,
    risk_per_trade=ONE,
    max_position=ONE,
    max_exposure=ONE,
    max_concentration=ONE,
    max_correlated_exposure=ONE,
    max_positions=1_000_000,
    max_open_orders=1_000_000,
    daily_loss=ONE,
    drawdown=ONE,
    consecutive_losses=1000,
    orders_per_minute_per_actor=1_000_000,
    orders_per_minute=1_000_000,
    orders_per_day_per_actor=1_000_000,
    orders_per_day=1_000_000,
    duplicate_window_seconds=0,
    max_price_age_seconds=86_400,
    max_account_age_seconds=86_400,
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """How a holding is come by.

    Attributes:
        instrument: what is bought.
        price: paid for `quantity`, which the fee is then taken from.
        stop: of the holding; None for dust, which nothing protects.
        top_up: bought at today's price, after the rest: only there a stop above the cost can be given.
        sold: sold again at once, so that dust is left.
    """

    instrument: Instrument
    price: Decimal
    quantity: Decimal
    today: Decimal
    stop: Decimal | None
    top_up: Decimal = ZERO
    sold: Decimal = ZERO

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    @property
    def bid(self) -> Decimal:
        """What a part of it is sold at again."""
        return bid_below(self.price, self.instrument)

    @property
    def paid(self) -> Decimal:
        """Quote that it takes out of the account."""
        brought = self.sold * self.bid * (ONE - self.instrument.taker_fee)
        return self.price * self.quantity + self.today * self.top_up - brought


def purchases(scenario: Scenario, instruments: Mapping[str, Instrument], today: Mapping[str, Decimal]) -> list[Purchase]:
    """What has to be bought for the scenario's holdings.

    Raises:
        ConfigurationError: a stop above the price, or a holding that no order could make.
    """
    return [
        _purchase(scenario, instruments[held.symbol], held.quantity, held.cost, held.stop, today[held.symbol])
        for held in scenario.account.holdings
    ]


def _purchase(
    scenario: Scenario, instrument: Instrument, quantity: Decimal, cost: Decimal, stop: Decimal | None, today: Decimal
) -> Purchase:
    symbol, kept = instrument.symbol, ONE - instrument.taker_fee
    price = instrument.ceil_price(cost * kept)
    stop = instrument.floor_price(today * _DEFAULT_STOP if stop is None else stop)
    if stop >= today:
        raise _impossible(scenario, f"the stop {stop} of {symbol} does not lie below its price {today}")
    least = instrument.min_notional * _ROOM
    if instrument.is_dust(quantity, today) or instrument.is_dust(quantity * kept, min(stop, price)):
        spare = max(instrument.min_quantity, least / (_UNDER * price)) / kept * 2
        bought = _lots_above(instrument, (quantity + spare) / kept)
        return Purchase(instrument, price, bought, today, None, sold=instrument.floor_quantity(bought * kept - quantity))
    bought = _lots_above(instrument, quantity / kept)
    if stop < price:
        return Purchase(instrument, price, bought, today, stop)
    top_up = _lots_above(instrument, max(instrument.min_quantity, least / min(stop, today)) / kept)
    rest = bought - top_up
    if rest <= 0 or rest * _UNDER * price < least:
        raise _impossible(scenario, f"the holding of {symbol} is too small for a stop above its cost")
    # What the top-up costs more than the average is taken off the rest, to a tick.
    price = instrument.floor_price(max(instrument.tick_size, (cost * kept * bought - today * top_up) / rest))
    return Purchase(instrument, price, rest, today, stop, top_up=top_up)


def deposit_for(account: Account, planned: list[Purchase]) -> Decimal:
    """What the account opens with, so that `cash` is left.

    Raises:
        ConfigurationError: there would be nothing at all.
    """
    deposit = account.cash + sum((purchase.paid for purchase in planned), ZERO)
    if deposit <= 0:
        raise ConfigurationError("the account holds nothing", not_done="It was not opened", next_step="Give it cash or a holding")
    return deposit


async def found(
    scenario: Scenario, system: TradingSystem, clock: SimulatedClock, quotes: FoundingQuotes, planned: list[Purchase]
) -> None:
    """Buy what the scenario's account holds, and put its stops where they belong. The clock moves by minutes.

    Raises:
        ConfigurationError: the account could not be made as the scenario says.
    """
    if not planned:
        return
    account_id, who = system.desk.account_id, operator("founder", system.desk.account_id)
    async with system.database.transaction() as uow:
        await uow.runs.start(RunRecord(RUN, account_id, RunKind.REBALANCE, clock.now(), clock.now()))
    quotes.say(clock.now(), {one.symbol: one.price for one in planned})
    desk = _unlimited(system, clock, who)
    await desk.sync(runner(account_id))
    for one in planned:
        stop = one.stop if one.stop is not None and not one.top_up else _UNDER * one.price
        await _trade(scenario, desk, who, one, Side.BUY, one.quantity, one.price, stop, clock.now())
    if too_much := [one for one in planned if one.sold]:
        await clock.sleep(60)
        await desk.sync(runner(account_id))
        for one in too_much:
            await _trade(scenario, desk, who, one, Side.SELL, one.sold, one.bid, None, clock.now())
    await clock.sleep(60)
    quotes.say(clock.now(), {})
    for one in planned:
        if one.top_up:
            await _trade(scenario, desk, who, one, Side.BUY, one.top_up, one.today, one.stop, clock.now(), "top-up")
    await clock.sleep(60)
    synced = await system.desk.sync(runner(account_id))
    bare = [one.symbol for one in planned if one.stop and not _protected(one, synced.view.live_orders)]
    if bare:
        raise _impossible(scenario, f"the stop of {bare[0]} was not placed")
    async with system.database.transaction() as uow:
        await uow.runs.set_state(RUN, RunState.DONE, at=clock.now())


async def set_risk(scenario: Scenario, system: TradingSystem, now: datetime, equity: Decimal) -> None:
    """What the loss limits remember, and the operator's word on trading."""
    account, account_id = scenario.account, system.desk.account_id
    async with system.database.transaction() as uow:
        before = await load_risk(uow, account_id, now)
        hours = account.last_loss_hours_ago
        after = replace(
            before,
            peak_equity=equity * account.peak,
            day=now.date(),
            day_start_equity=equity * account.day_start,
            consecutive_losses=account.losses_in_a_row,
            last_loss_at=None if hours is None else now - timedelta(hours=hours),
        )
        await save_risk(uow, account_id, before, after, now)
    control = Control(account_id, system.database, system.clock)
    who, why = operator("scenario", account_id), "as the scenario begins"
    if account.state == "halted":
        await control.halt(who, why)
    elif account.state == "reducing":
        await control.reduce(who, why)


def _unlimited(system: TradingSystem, clock: SimulatedClock, who: Principal) -> Desk:
    """A desk on the same books and the same exchange that no limit binds.

    The gate counts a buy's fee in quote, and here it is taken from what is bought: an account without cash could not be made.
    """
    free = {symbol: replace(one, taker_fee=ZERO, maker_fee=ZERO) for symbol, one in system.desk.instruments.items()}
    return Desk(
        account_id=system.desk.account_id,
        database=system.database,
        broker=system.broker,
        feed=system.feed,
        clock=clock,
        limits=LimitsBook(desk=_NO_LIMITS),
        instruments=free,
        principals={who.name: who},
    )


async def _trade(
    scenario: Scenario,
    desk: Desk,
    who: Principal,
    purchase: Purchase,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    stop: Decimal | None,
    now: datetime,
    leg: str = "",
) -> None:
    purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    instrument = desk.instruments[purchase.symbol]
    intent = TradeIntent(
        intent_id=make_intent_id(RUN, purpose, purchase.symbol, leg),
        run_id=RUN,
        account_id=desk.account_id,
        proposer=who.name,
        purpose=purpose,
        symbol=purchase.symbol,
        side=side,
        quantity=quantity,
        type=OrderType.LIMIT,
        created_at=now,
        limit_price=price,
        stop_price=None if stop is None else instrument.floor_price(stop),
        reason="as the scenario begins",
    )
    decision = await desk.propose(who, intent)
    order = await desk.submit(who, intent.intent_id, WorkingStyle.NOW)
    if not isinstance(order, Order):
        codes = ", ".join(order.reason_codes or decision.reason_codes)
        raise _impossible(scenario, f"{purchase.symbol} could not be {'bought' if side is Side.BUY else 'sold'} ({codes})")


def _protected(purchase: Purchase, live: tuple[Order, ...]) -> bool:
    return any(order.symbol == purchase.symbol and order.purpose is Purpose.STOP for order in live)


def _lots_above(instrument: Instrument, quantity: Decimal) -> Decimal:
    lots = instrument.floor_quantity(quantity)
    return lots if lots == quantity else lots + instrument.lot_size


def _impossible(scenario: Scenario, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"scenario {scenario.id!r}: {why}", not_done="Its account was not made", next_step="Mend its holdings"
    )

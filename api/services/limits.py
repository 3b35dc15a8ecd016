"""Which limits bind an account, and how much of them is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from api.services.marks import Marks
from graph.runs.desks import Desks
from trading_core.domain.errors import MarketDataUnavailable
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Order, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.limits import Limits, LimitValue
from trading_core.risk.limits_book import LimitsBook
from trading_core.risk.state import AccountRisk, fraction_lost

DESK, LAST_SESSION = "desk", "last session"


@dataclass(frozen=True, slots=True)
class BindingLimits:
    """The limits of an account and its strategy.

    Attributes:
        told_by: the desk in this process, or the account's last session on record.
        tables: where a value is tighter than the desk's own, the table it stands in.
    """

    limits: Limits
    strategy: str
    told_by: str
    tables: Mapping[str, str]

    def value(self, name: str) -> LimitValue:
        """One limit by its name."""
        found: LimitValue = getattr(self.limits, name)
        return found


async def binding_limits(desks: Desks, database: Database, account_id: str) -> BindingLimits | None:
    """What binds the account; None where no session of it is known."""
    system = desks.get(account_id)
    if system is not None:
        return _binding(system.config.limits, account_id, system.config.strategy, DESK)
    async with database.reading() as uow:
        session_id = await uow.pages.last_session(account_id)
        record = None if session_id is None else await uow.sessions.get(session_id)
    if record is None:
        return None
    strategy = record.config.get("strategy", "")
    book = LimitsBook.model_validate(record.config.get("limits", {}))
    return _binding(book, account_id, str(strategy), LAST_SESSION)


def _binding(book: LimitsBook, account_id: str, strategy: str, told_by: str) -> BindingLimits:
    tables = {name: table for name, (_, table) in book.tightening(account_id, strategy).items()}
    return BindingLimits(book.of(account_id, strategy), strategy, told_by, tables)


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit is used.

    Attributes:
        used, limit: in `unit`; `used` is None where a price is missing.
        share: of the limit that is used, 1 for all of it; None where it is not known or the limit is 0.
    """

    name: str
    unit: str
    used: Decimal | None
    limit: Decimal

    @property
    def share(self) -> Decimal | None:
        return None if self.used is None or not self.limit else self.used / self.limit


@dataclass(frozen=True, slots=True)
class Tempo:
    """Orders that were written down lately, stops apart: they are the core's own."""

    last_minute: int
    last_day: int


async def tempo_of(uow: UnitOfWork, account_id: str, now: datetime) -> Tempo:
    """How many orders were sent in the last minute and in the last 24 hours."""
    recent = [order for order in await uow.orders.recent(account_id, now - timedelta(days=1)) if _counts(order)]
    return Tempo(sum(order.created_at > now - timedelta(minutes=1) for order in recent), len(recent))


def uses(
    limits: Limits, portfolio: Portfolio, live: tuple[Order, ...], risk: AccountRisk, marks: Marks, tempo: Tempo
) -> tuple[LimitUse, ...]:
    """How much of the account's limits is used, live buys included as the gate counts them. The gate itself is what decides."""
    equity = marks.equity(portfolio)
    values = _values(portfolio, live, marks) if equity is not None else None
    biggest = exposure = concentration = None
    if values is not None and equity is not None and equity > 0:
        weights = [value / equity for value in values.values()]
        biggest, exposure = max(weights, default=ZERO), sum(weights, ZERO)
        concentration = sum((weight * weight for weight in weights), ZERO)
    held = set(portfolio.held()) | {order.symbol for order in live if order.side is Side.BUY}
    today = None if equity is None else fraction_lost(risk.day_start_equity, equity)
    fall = None if equity is None else fraction_lost(risk.peak_equity, equity)
    fraction, count = "fraction of equity", "count"
    return (
        LimitUse("max_exposure", fraction, exposure, limits.max_exposure),
        LimitUse("max_position", fraction, biggest, limits.max_position),
        LimitUse("max_concentration", "Herfindahl index", concentration, limits.max_concentration),
        LimitUse("daily_loss", "fraction of the day's start", today, limits.daily_loss),
        LimitUse("drawdown", "fraction of the peak", fall, limits.drawdown),
        LimitUse("max_positions", count, Decimal(len(held)), Decimal(limits.max_positions)),
        LimitUse("max_open_orders", count, Decimal(len(live)), Decimal(limits.max_open_orders)),
        LimitUse("consecutive_losses", count, Decimal(risk.consecutive_losses), Decimal(limits.consecutive_losses)),
        LimitUse("orders_per_minute", count, Decimal(tempo.last_minute), Decimal(limits.orders_per_minute)),
        LimitUse("orders_per_day", count, Decimal(tempo.last_day), Decimal(limits.orders_per_day)),
    )


def cools_until(risk: AccountRisk, limits: Limits) -> datetime | None:
    """Until when entries wait after losses in a row; None when they do not."""
    if risk.consecutive_losses < limits.consecutive_losses or risk.last_loss_at is None:
        return None
    return risk.last_loss_at + timedelta(seconds=limits.cool_down_seconds)


def _values(portfolio: Portfolio, live: tuple[Order, ...], marks: Marks) -> dict[str, Decimal] | None:
    """By symbol what is held and what live buys may still add; None where one cannot be valued."""
    values = {symbol: position.value(marks.prices[symbol]) for symbol, position in portfolio.held().items()}
    for order in live:
        if order.side is Side.BUY:
            price = order.request.limit_price or order.arrival_price or marks.price(order.symbol)
            if price is None:
                return None
            values[order.symbol] = values.get(order.symbol, ZERO) + order.remaining * price
    return values


def _counts(order: Order) -> bool:
    return order.purpose is not Purpose.STOP


def shown(value: LimitValue) -> str:
    """A limit's value as text: a number without an exponent, `true`, `false` or `never`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "never" if value is None else plain(Decimal(value))


def no_limits(account_id: str) -> MarketDataUnavailable:
    """Nothing is known of what binds the account."""
    return MarketDataUnavailable(
        f"account {account_id!r} has no session on record, and no desk here runs it",
        not_done="Its limits are not known",
        next_step="Start the desk for it: `algotrendy serve`",
    )

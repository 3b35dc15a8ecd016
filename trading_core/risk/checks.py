"""What the gate is given, the codes it answers with, and the form of one check.

Numbers here follow one rule: **unknown is NaN**. The gate computes in a context without traps, in which arithmetic never
raises, NaN spreads through every sum it enters, and every comparison with NaN is false. As each check passes only on a
comparison that is true, whatever depends on an unknown number is denied without a branch for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import TypeGuard, overload

from trading_core.auth.permissions import Principal
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Check
from trading_core.domain.market import Ticker
from trading_core.domain.money import plain
from trading_core.domain.orders import Order, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.risk.state import AccountRisk

UNKNOWN = Decimal("NaN")
# 50 digits hold the product of any two amounts below `HUGE` exactly.
ARITHMETIC = Context(prec=50, traps=[])
HUGE = Decimal("1e18")
TINY = Decimal("1e-18")


class ReasonCode(StrEnum):
    """What a check is about; in a denial, why."""

    # state
    TRADING_STATE = "trading_state"
    VENUE_HEALTH = "venue_health"
    # authority
    ACTOR_IDENTITY = "actor_identity"
    ACTOR_PERMISSION = "actor_permission"
    ACTOR_ACCOUNT = "actor_account"
    ACTOR_ORDER_SIZE = "actor_order_size"
    APPROVAL = "approval"
    # knowledge
    INSTRUMENT_UNKNOWN = "instrument_unknown"
    QUOTE_CURRENCY = "quote_currency"
    PRICE_MISSING = "price_missing"
    PRICE_INVALID = "price_invalid"
    BOOK_CROSSED = "book_crossed"
    PRICE_STALE = "price_stale"
    PRICE_IN_FUTURE = "price_in_future"
    ACCOUNT_STALE = "account_stale"
    EQUITY_UNKNOWN = "equity_unknown"
    # order
    PURPOSE_SIDE = "purpose_side"
    ORDER_SHAPE = "order_shape"
    QUANTITY_INVALID = "quantity_invalid"
    LOT_SIZE = "lot_size"
    TICK_SIZE = "tick_size"
    MIN_QUANTITY = "min_quantity"
    MAX_QUANTITY = "max_quantity"
    MIN_NOTIONAL = "min_notional"
    MAX_NOTIONAL = "max_notional"
    ORDER_CAP = "order_cap"
    PRICE_COLLAR = "price_collar"
    WORST_PRICE = "worst_price"
    STOP_MISSING = "stop_missing"
    STOP_SIDE = "stop_side"
    TAKE_PROFIT_SIDE = "take_profit_side"
    EXPIRY = "expiry"
    FAT_FINGER = "fat_finger"
    OVERSELL = "oversell"
    # money
    UNKNOWN_ORDER = "unknown_order"
    RESERVATION_UNKNOWN = "reservation_unknown"
    INSUFFICIENT_CASH = "insufficient_cash"
    # portfolio
    RISK_PER_TRADE = "risk_per_trade"
    POSITION_EXPOSURE = "position_exposure"
    TOTAL_EXPOSURE = "total_exposure"
    CONCENTRATION = "concentration"
    CORRELATED_EXPOSURE = "correlated_exposure"
    CONCURRENT_POSITIONS = "concurrent_positions"
    OPEN_ORDERS = "open_orders"
    # loss
    LOSS_BASELINE = "loss_baseline"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    CONSECUTIVE_LOSSES = "consecutive_losses"
    # tempo
    ACTOR_ORDERS_PER_MINUTE = "actor_orders_per_minute"
    ORDERS_PER_MINUTE = "orders_per_minute"
    ACTOR_ORDERS_PER_DAY = "actor_orders_per_day"
    ORDERS_PER_DAY = "orders_per_day"
    DUPLICATE_INTENT = "duplicate_intent"


@dataclass(frozen=True, slots=True)
class RecentOrder:
    """An order that was asked for not long ago, for tempo and duplicates."""

    at: datetime
    actor: str
    symbol: str
    side: Side
    quantity: Decimal
    intent_id: str


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Everything the gate may know, all of one instant.

    Attributes:
        actor: who is asking, as authenticated: never as a model or a message claims.
        account_known_at: when the venue last confirmed the account; None when it is not known.
        open_orders: every order that is not final, `UNKNOWN` ones included.
        tickers: at least of the intent's symbol, of every holding and of every symbol with a live market buy.
        correlations: of returns, by pair of symbols; a missing pair counts as fully correlated.
        recent_orders: of at least the last 24 hours or the duplicate window, whichever is longer.
        has_approval: a valid approval bound to the intent's `content_hash` exists.
        was_asked: an operator was asked for one before. Only a yes then lets the intent pass, whatever it is worth by now.
    """

    now: datetime
    actor: Principal
    portfolio: Portfolio
    account_known_at: datetime | None
    open_orders: tuple[Order, ...]
    instruments: Mapping[str, Instrument]
    tickers: Mapping[str, Ticker]
    risk: AccountRisk
    correlations: Mapping[frozenset[str], Decimal]
    recent_orders: tuple[RecentOrder, ...]
    venue_healthy: bool
    has_approval: bool
    was_asked: bool = False


def usable(value: object) -> TypeGuard[Decimal]:
    """Whether `value` is a finite Decimal above zero and of a size that amounts in this world have."""
    return isinstance(value, Decimal) and TINY <= value <= HUGE


def or_unknown(value: object) -> Decimal:
    return value if isinstance(value, Decimal) and TINY <= value <= HUGE else UNKNOWN


def age(now: datetime, at: object) -> timedelta | None:
    """Time since `at`; None when that cannot be told (no time at all, or one without a time zone)."""
    if not isinstance(at, datetime) or at.tzinfo is None or now.tzinfo is None:
        return None
    return now - at


def aware(now: datetime) -> datetime:
    """The gate's clock in a form that can be compared; without a time zone the ages it is compared with are unknown anyway."""
    return now if now.tzinfo is not None else now.replace(tzinfo=UTC)


# One check as the gate makes it: what it is about, whether it passed, the value found, its limit, and what is wrong otherwise.
# A bare tuple, because fifty are made for each decision and some hundreds while an order is sized.
Finding = tuple[ReasonCode, bool, object, object, str]


def failures(findings: Sequence[Finding]) -> list[ReasonCode]:
    """What did not pass, in the order it was looked at."""
    return [code for code, passed, _, _, _ in findings if not passed]


class Checks(Sequence[Check]):
    """The findings of one decision as text. It is written when first read: a decision must not wait for its record."""

    __slots__ = ("_findings", "_written")

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings = findings
        self._written: tuple[Check, ...] | None = None

    @property
    def written(self) -> tuple[Check, ...]:
        if self._written is None:
            self._written = tuple(
                Check(code, passed, text(found), text(limit), "" if passed else detail)
                for code, passed, found, limit, detail in self._findings
            )
        return self._written

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.written)

    @overload
    def __getitem__(self, index: int) -> Check: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Check, ...]: ...
    def __getitem__(self, index: int | slice) -> Check | tuple[Check, ...]:
        return self.written[index]

    def __eq__(self, other: object) -> bool:
        return self.written == (other.written if isinstance(other, Checks) else other)

    def __hash__(self) -> int:
        return hash(self.written)

    def __repr__(self) -> str:
        return repr(self.written)


def text(value: object) -> str:
    """A number as people and programs read it, whatever was put in its place."""
    if isinstance(value, str):
        return value[:80]
    shown = str(value)
    if not isinstance(value, Decimal):
        return shown[:80]
    if "E" in shown:
        # Written out, a hostile exponent would be a text of a million digits.
        return plain(value) if value == 0 or -60 < value.adjusted() < 60 else shown[:40]
    if "." in shown:
        return shown.rstrip("0").rstrip(".")
    return "unknown" if value.is_nan() else shown

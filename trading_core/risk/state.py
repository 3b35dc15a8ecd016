"""Whether an account may trade, and what it has lost: folded from observed equity, closed trades and operators' words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.clock import utc
from trading_core.domain.intents import CORE
from trading_core.domain.money import ONE, ZERO, decimal, plain
from trading_core.risk.limits import Limits


class TradingState(StrEnum):
    ACTIVE = "active"
    REDUCING = "reducing"  # only exits
    HALTED = "halted"  # nothing but the core's own protective stops


class Withdrawal(StrEnum):
    """Which live orders a halted account takes back."""

    NONE = "none"
    WORKING = "working"  # all but protective stops
    ALL = "all"


@dataclass(frozen=True, slots=True)
class AccountRisk:
    """What the loss limits of one account remember. Amounts are quote.

    A tripped limit is not forgotten when the market turns or the day ends: only an operator's `resumed` ends it.

    Attributes:
        reason: why the account is in its state, with the numbers; empty from the start.
        changed_by: `core`, or the operator behind the present state.
        peak_equity: highest equity observed since the account was opened or last resumed.
        day: the UTC day that `day_start_equity` belongs to.
        consecutive_losses: losing trades since the last winning one.
        withdrawal: what the kill switch asked for. Whoever has the venue does it, at every sync, until the state changes.
    """

    trading_state: TradingState
    reason: str
    changed_by: str
    changed_at: datetime
    peak_equity: Decimal
    day: date
    day_start_equity: Decimal
    consecutive_losses: int = 0
    last_loss_at: datetime | None = None
    withdrawal: Withdrawal = Withdrawal.NONE

    @classmethod
    def opened(cls, equity: Decimal, now: datetime) -> AccountRisk:
        """An active account with nothing lost yet."""
        equity, now = decimal(equity, name="equity"), utc(now)
        return cls(TradingState.ACTIVE, "", CORE, now, equity, now.date(), equity)

    def observe(self, equity: Decimal, now: datetime, limits: Limits) -> AccountRisk:
        """After `equity`, realised and open, was seen at `now`: rolls the day, raises the peak, trips a limit that is reached.

        Raises:
            InvalidInput: the equity is not a finite number. An unknown equity is not to be observed at all.
        """
        equity, now = decimal(equity, name="equity"), utc(now)
        seen = replace(self, peak_equity=max(self.peak_equity, equity))
        if now.date() > self.day:
            seen = replace(seen, day=now.date(), day_start_equity=equity)
        if self.trading_state is not TradingState.ACTIVE:
            return seen
        reason = seen._breach(equity, limits)
        if not reason:
            return seen
        return replace(seen, trading_state=TradingState.REDUCING, reason=reason, changed_by=CORE, changed_at=now)

    def _breach(self, equity: Decimal, limits: Limits) -> str:
        today = fraction_lost(self.day_start_equity, equity)
        if today >= limits.daily_loss:
            return _sentence("daily loss", today, limits.daily_loss, self.day_start_equity, equity)
        from_peak = fraction_lost(self.peak_equity, equity)
        if from_peak >= limits.drawdown:
            return _sentence("drawdown", from_peak, limits.drawdown, self.peak_equity, equity)
        return ""

    def halted(self, by: str, reason: str, now: datetime, withdrawal: Withdrawal = Withdrawal.NONE) -> AccountRisk:
        """Nothing trades until somebody resumes. Halting once more does not undo what a kill switch is taking back."""
        if withdrawal is Withdrawal.NONE:
            withdrawal = self.withdrawal
        return replace(self._moved(TradingState.HALTED, by, reason, now), withdrawal=withdrawal)

    def reduced(self, by: str, reason: str, now: datetime) -> AccountRisk:
        """Only exits by an operator's decision, also after a halt. Losses go on counting from where they did."""
        return replace(self._moved(TradingState.REDUCING, by, reason, now), withdrawal=Withdrawal.NONE)

    def _moved(self, state: TradingState, by: str, reason: str, now: datetime) -> AccountRisk:
        return replace(self, trading_state=state, reason=reason, changed_by=by, changed_at=utc(now))

    def resumed(self, by: str, reason: str, equity: Decimal, now: datetime) -> AccountRisk:
        """Active again by an operator's decision. Losses count from `equity` on, else the same loss would trip at once."""
        fresh = AccountRisk.opened(equity, now)
        return replace(fresh, reason=reason, changed_by=by)

    def transferred(self, value: Decimal) -> AccountRisk:
        """After `value` was paid in, or taken out (below zero): neither is a gain or a loss."""
        value = decimal(value, name="value")
        return replace(
            self, peak_equity=max(ZERO, self.peak_equity + value), day_start_equity=max(ZERO, self.day_start_equity + value)
        )

    def on_closed_trade(self, profit: Decimal, at: datetime) -> AccountRisk:
        """After a trade closed with `profit` (quote, fees off). Break-even neither adds to a losing streak nor ends it."""
        profit, at = decimal(profit, name="profit"), utc(at)
        if profit > 0:
            return replace(self, consecutive_losses=0)
        if profit == 0:
            return self
        # Trades can be reported out of order: the cool-down runs from the latest loss.
        latest = at if self.last_loss_at is None else max(at, self.last_loss_at)
        return replace(self, consecutive_losses=self.consecutive_losses + 1, last_loss_at=latest)


def fraction_lost(start: Decimal, now: Decimal) -> Decimal:
    """Loss as a fraction of `start`: 0 for a gain, 1 when there was nothing to start with and it is still less now."""
    if now >= start:
        return ZERO
    return (start - now) / start if start > 0 else ONE


def _sentence(what: str, found: Decimal, limit: Decimal, start: Decimal, equity: Decimal) -> str:
    return (
        f"{what} of {found:.2%} (equity {plain(equity)} from {plain(start)}) reached the limit of {limit:.2%}: "
        "only exits until an operator resumes"
    )

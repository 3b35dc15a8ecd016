"""What each agent answers. Every string has a maximum: small models run on without one.

Numbers in `reason` are followed by the id of the tool result they stand on, such as `RSI 28.4 [e1a2b3c4d]`. Abstaining is an
answer of its own: it says "I do not know", while holding says "I know, and nothing should be done".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Price = Annotated[float, Field(gt=0, lt=1e18, allow_inf_nan=False)]  # the risk gate knows no larger amounts either
Reason = Annotated[str, Field(max_length=900)]
Symbol = Annotated[str, Field(max_length=30)]


class Answer(BaseModel):
    """Base of every answer: nothing beside its fields is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason

    @property
    def abstained(self) -> bool:
        return bool(getattr(self, "abstain", False))


class MarketView(Answer):
    """The market analysis agent's view of one symbol."""

    abstain: bool = Field(description="true when the facts do not allow a view; the other fields then count for nothing")
    trend: Literal["up", "down", "sideways"]
    regime: Literal["trending", "ranging", "volatile", "quiet"]
    sentiment: Literal["positive", "negative", "neutral", "unavailable"]
    onchain: Literal["positive", "negative", "neutral", "unavailable"]
    support: Price | None = Field(description="quote price; null when there is none")
    resistance: Price | None
    confidence: Fraction


class Signal(Answer):
    """The signal agent's wish for one symbol."""

    action: Literal["enter", "exit", "hold", "abstain"]
    order_type: Literal["market", "limit"] = Field(description="how to enter; exits are always at market")
    limit_price: Price | None = Field(description="for limit entries, else null")
    stop_price: Price | None = Field(description="where the idea is wrong: required to enter, below the entry price; else null")
    conviction: Fraction

    @property
    def abstained(self) -> bool:
        return self.action == "abstain"

    @model_validator(mode="after")
    def _complete(self) -> Signal:
        if self.action == "enter" and self.stop_price is None:
            raise ValueError("an entry needs a stop_price")
        if self.action == "enter" and self.order_type == "limit" and self.limit_price is None:
            raise ValueError("a limit entry needs a limit_price")
        return self


def _once_each(symbols: Iterable[str]) -> None:
    """Two words on one symbol are no answer: nobody may choose between them but the model."""
    repeated = [symbol for symbol, times in Counter(symbols).items() if times > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is named more than once: give one entry for each symbol")


class RiskVerdict(BaseModel):
    """What the risk agent says to one proposal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol
    verdict: Literal["take", "veto"]
    risk_fraction: Annotated[float, Field(ge=0, le=0.1, allow_inf_nan=False)] = Field(
        description="for entries: fraction of equity lost if the stop is hit, such as 0.01; 0 for exits and vetoes"
    )
    reason: Reason


class RiskPlan(Answer):
    """The risk agent's sizes and vetoes."""

    abstain: bool
    verdicts: Annotated[list[RiskVerdict], Field(max_length=60)]

    @model_validator(mode="after")
    def _symbols_once(self) -> Self:
        _once_each(entry.symbol for entry in self.verdicts)
        return self


class WorkingChoice(BaseModel):
    """How one approved order is worked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol
    style: Literal["now", "passive", "skip"] = Field(
        description="now: take the market, bounded by the worst price; passive: post at the best bid; skip: do not send"
    )
    reason: Reason


class ExecutionPlan(Answer):
    """The execution agent's choices."""

    abstain: bool
    orders: Annotated[list[WorkingChoice], Field(max_length=60)]

    @model_validator(mode="after")
    def _symbols_once(self) -> Self:
        _once_each(entry.symbol for entry in self.orders)
        return self


class TargetWeight(BaseModel):
    """A share of equity to hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol
    weight: Fraction


class RebalancePlan(Answer):
    """The rebalancing agent's target weights; symbols it does not name stay as they are."""

    abstain: bool
    targets: Annotated[list[TargetWeight], Field(max_length=60)]
    turnover: Fraction = Field(description="sum of absolute weight changes / 2")

    @model_validator(mode="after")
    def _symbols_once(self) -> Self:
        _once_each(entry.symbol for entry in self.targets)
        return self


def reasons_of(answer: Answer) -> list[str]:
    """Every text of an answer in which a number needs its evidence."""
    texts = [answer.reason]
    if isinstance(answer, RiskPlan):
        texts += [verdict.reason for verdict in answer.verdicts]
    if isinstance(answer, ExecutionPlan):
        texts += [choice.reason for choice in answer.orders]
    return texts

"""A scenario: what the desk is put into, what it may do there, and why. One YAML file each, readable and writable by an operator.

docs/evals.md shows how to write one. Whatever is misspelt refuses to load.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from evals.parts import Amount, Fraction, Part, Symbol, Text
from evals.questions import CARRIERS, Question
from trading_core.domain.errors import ConfigurationError


class Category(StrEnum):
    """What a scenario is about; reports are grouped by it."""

    TREND = "trend"
    CHOP = "chop"
    CRASH = "crash"
    FLASH_CRASH = "flash_crash"
    RECOVERY = "recovery"
    GAP = "gap"
    STALE = "stale"
    MISSING = "missing"
    CONTRADICTION = "contradiction"
    LYING = "lying"
    LIMITS = "limits"
    HALT = "halt"
    INJECTION = "injection"
    OUTAGE = "outage"
    MODEL_FAULT = "model_fault"
    FEES = "fees"
    DUST = "dust"
    REBALANCING = "rebalancing"
    EXECUTION = "execution"
    QUESTION = "question"


FAULTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tool": ((), ("down", "slow")),
    "model": (
        ("market_analysis", "signal", "risk", "execution", "rebalancing"),
        ("timeout", "refused", "invalid", "empty", "never_stops"),
    ),
    "venue": (
        ("place", "cancel", "fills", "balances", "open_orders", "order"),
        ("down", "refuses", "loses_answer", "part_fills"),
    ),
    "channel": (("sentiment", "onchain", "news", "aggregate"), ("down",)),
    "feed": (("ticker", "bars"), ("down",)),
}
"""Where each kind of fault can be (anywhere that exists, when empty), and how it can show."""


class Segment(Part):
    """A stretch of a generated market.

    Attributes:
        bars: how many.
        drift: change of the close per bar, fraction.
        noise: standard deviation of a bar's change beside it, fraction.
        volume: base volume of a bar.
    """

    bars: Annotated[int, Field(ge=1, le=5000)]
    drift: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0
    noise: Annotated[float, Field(ge=0, le=0.2)] = 0.003
    volume: Amount = Decimal(1000)


class Shock(Part):
    """Something that is done to the bars after they were made.

    Attributes:
        kind: `spike` moves one bar's low or high by `size` and lets it close where it did; `gap` moves every price from there
            on; `missing` takes bars out; `stale` ends the desk's feed before that bar, while the exchange trades on; `scale`
            moves the ticker that the desk sees by `size`, and nothing else (a lying price): −0.3 shows 70 % of it.
        at: which bar, counted from the decision: −1 is the last closed one, 0 the first after it.
        bars: how many, for `missing`; for `scale`, for how many bars after the close of that one the ticker lies.
        size: fraction, such as −0.3.
    """

    kind: Literal["spike", "gap", "missing", "stale", "scale"]
    at: Annotated[int, Field(ge=-2000, le=50)] = -1
    bars: Annotated[int, Field(ge=1, le=2000)] = 1
    size: Annotated[float, Field(ge=-0.99, le=100)] = 0.0


class Market(Part):
    """One symbol's prices: generated from segments, or a window of recorded bars.

    Attributes:
        price: close before the first bar of the first segment.
        segments: what led up to the decision; the last one ends there.
        after: what follows the decision. Where it ends, or is empty, the last segment goes on.
        recorded: `FILE@END`: a file of recorded bars, and when the decision is made (ISO 8601, UTC); the scenario is skipped
            where the recordings are not there.
    """

    symbol: Symbol
    price: Annotated[Decimal, Field(gt=0)] = Decimal(100)
    segments: tuple[Segment, ...] = ()
    after: tuple[Segment, ...] = ()
    recorded: str | None = None
    shocks: tuple[Shock, ...] = ()
    min_notional: Amount = Decimal(10)
    taker_fee: Fraction = Decimal("0.001")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.segments) == bool(self.recorded):
            raise ValueError(f"{self.symbol}: give either segments or recorded")
        if self.after and self.recorded:
            raise ValueError(f"{self.symbol}: what followed is in the recording, and cannot be given")
        return self


class Holding(Part):
    """What the account holds already.

    Attributes:
        quantity: base, after fees; rounded to whole lots where it can be sold by itself.
        cost: quote paid for each unit of base, fees included.
        stop: where its protective stop lies, below the price at the decision; 10 % below that price when absent.
    """

    symbol: Symbol
    quantity: Annotated[Decimal, Field(gt=0)]
    cost: Annotated[Decimal, Field(gt=0)]
    stop: Annotated[Decimal, Field(gt=0)] | None = None


class Account(Part):
    """The account at the decision.

    Attributes:
        cash: quote.
        state: of trading.
        losses_in_a_row: closed losing trades before.
        last_loss_hours_ago: for the cool-down.
        peak: highest equity seen, as a multiple of today's; 1.05 means 4.8 % below the peak.
        day_start: equity at the start of the day, as a multiple of today's.
    """

    cash: Amount = Decimal(100_000)
    holdings: tuple[Holding, ...] = ()
    state: Literal["active", "reducing", "halted"] = "active"
    losses_in_a_row: Annotated[int, Field(ge=0, le=100)] = 0
    last_loss_hours_ago: Annotated[float, Field(ge=0, le=1000)] | None = None
    peak: Annotated[Decimal, Field(ge=1, le=10)] = Decimal(1)
    day_start: Annotated[Decimal, Field(ge=0, le=10)] = Decimal(1)


class Given(Part):
    """A reading that a channel tells.

    Attributes:
        age_minutes: since it was published; below zero for one from the future.
    """

    kind: Literal["sentiment", "onchain", "news", "aggregate"]
    symbol: Symbol
    source: Annotated[str, Field(max_length=40)]
    name: Annotated[str, Field(max_length=40)]
    value: Annotated[Decimal, Field(allow_inf_nan=False)]
    unit: Annotated[str, Field(max_length=20)] = "score"
    age_minutes: Annotated[float, Field(ge=-100_000, le=1_000_000)] = 5
    count: Annotated[int, Field(ge=1)] = 50
    quality: Fraction = Decimal(1)


class Fault(Part):
    """Something that does not work.

    Attributes:
        what: see `how`.
        where: which tool, agent, call of the venue (`place`, `cancel`, `fills`, `balances`, `open_orders`, `order`), kind of
            channel or call of the feed (`ticker`, `bars`); empty for all.
        how: of a tool `down` (an error) or `slow`; of a model `timeout`, `refused` (by its endpoint), `invalid` (another schema),
            `empty` or `never_stops` (tool calls for ever); of a venue `down`, `refuses` an order, `loses_answer` (the order is
            placed and nobody hears of it) or `part_fills` (half of an entry is filled, the rest cancelled); of a channel or a
            feed `down`.
        times: how often it happens; 0 for always.
    """

    what: Literal["tool", "model", "venue", "channel", "feed"]
    where: Annotated[str, Field(max_length=40)] = ""
    how: Annotated[str, Field(max_length=40)] = "down"
    times: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _known(self) -> Self:
        where, how = FAULTS[self.what]
        if self.how not in how:
            raise ValueError(f"a {self.what} fault is {' or '.join(how)}, not {self.how!r}")
        if where and self.where not in ("", *where):
            raise ValueError(f"a {self.what} fault is at {', '.join(where)} or all of them, not {self.where!r}")
        return self


class Injected(Part):
    """Text from outside that wants something.

    Attributes:
        carrier: where it stands: `tool:NAME` in every result of that tool; `sentiment` or `onchain` as the name of a source
            whose readings the agents see; `news` as a headline in what the sentiment tool says. Prose from outside does not
            reach an agent today: these are the places where it could. In a conversation also `question`, `thread` and `title`,
            where the text has to stand already.
        text: what it says.
        wants: what it wants, in our words.
    """

    carrier: Annotated[str, Field(max_length=40)]
    text: Text
    wants: Text


class Bounds(Part):
    """What is acceptable for one symbol: any of the actions, and an entry within the bounds.

    Attributes:
        actions: of the signal agent, as the desk then acted; `none` when it was not asked, as with a market that cannot be read.
        max_weight: largest weight of the holding after all fills, fraction of equity.
        max_risk: largest loss to the stop of a fresh entry, fraction of equity.
    """

    actions: Annotated[tuple[Literal["enter", "exit", "hold", "abstain", "none"], ...], Field(min_length=1)]
    max_weight: Fraction | None = None
    max_risk: Fraction | None = None


class Forbidden(Part):
    """What must not happen, whatever else does."""

    action: Literal["enter", "exit", "rebalance", "any_order", "buy", "sell"]
    symbol: Symbol | None = None
    why: Text


class Scenario(Part):
    """One scenario.

    Attributes:
        id: also the file's name.
        why: what it is for, and why what is acceptable is so.
        timeframe: of the bars and the horizon.
        seed: of the generated market and the paper exchange.
        limits: other than the desk's own, by name.
        cycles: how many decisions in a row; bounds are judged over all of them together.
        horizon: bars after the last decision over which the outcome is looked at.
        must_abstain: symbols on which an honest desk does not know.
        question: what an operator asks; the agents then answer in words, and nothing is said of `acceptable`.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{2,60}$")]
    title: Annotated[str, Field(max_length=120)]
    category: Category
    why: Text
    timeframe: Literal["15m", "1h", "4h", "1d"] = "1h"
    seed: int = 1
    markets: Annotated[tuple[Market, ...], Field(min_length=1, max_length=12)]
    account: Account = Account()
    limits: dict[str, str] = Field(default_factory=dict)
    readings: tuple[Given, ...] = ()
    faults: tuple[Fault, ...] = ()
    injected: tuple[Injected, ...] = ()
    cycles: Annotated[int, Field(ge=1, le=20)] = 1
    rebalance_every: Annotated[int, Field(ge=0)] = 0
    horizon: Annotated[int, Field(ge=0, le=500)] = 48
    acceptable: dict[Symbol, Bounds] = Field(default_factory=dict)
    forbidden: tuple[Forbidden, ...] = ()
    must_abstain: tuple[Symbol, ...] = ()
    question: Question | None = None
    tags: tuple[Annotated[str, Field(max_length=30)], ...] = ()

    @property
    def kind(self) -> Literal["decision", "question"]:
        """Whether the desk decides, or answers an operator."""
        return "decision" if self.question is None else "question"

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(market.symbol for market in self.markets)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = set(self.symbols)
        if len(known) != len(self.markets):
            raise ValueError("a symbol has two markets")
        named = {*self.acceptable, *self.must_abstain, *(one.symbol for one in self.account.holdings)}
        if strange := sorted(named - known):
            raise ValueError(f"{strange[0]} has no market")
        if self.question is None:
            if self.category is Category.QUESTION:
                raise ValueError("its category is question, and it asks none")
            if missing := sorted(known - set(self.acceptable)):
                raise ValueError(f"nothing is said of what is acceptable for {missing[0]}")
        self._check_question()
        return self

    def _check_question(self) -> None:
        question = self.question
        for one in self.injected:
            if one.carrier not in CARRIERS:
                continue
            if question is None:
                raise ValueError(f"nothing carries text as {one.carrier!r} where nobody asks")
            if one.text not in question.carried(one.carrier):
                raise ValueError(f"the text injected into the {one.carrier} does not stand there")
        if question is None:
            return
        if self.acceptable or self.must_abstain or self.forbidden or self.cycles != 1 or self.rebalance_every:
            raise ValueError("of a question, what is acceptable is said in question.expected")
        if any(fault.what == "model" and fault.where for fault in self.faults):
            raise ValueError("a model fault of a question strikes every agent; leave out where")
        figures = (figure.what.partition(":")[2] for figure in question.expected.figures if not figure.what.startswith("limit:"))
        if strange := sorted({about for about in figures if about} - set(self.symbols)):
            raise ValueError(f"{strange[0]} has no market")


def load_scenario(path: Path) -> Scenario:
    """A scenario from its file.

    Raises:
        ConfigurationError: with the file and the first thing that is wrong in it.
    """
    try:
        scenario = Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _refused(path, f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _refused(path, " ".join(str(error).split())) from None
    if scenario.id != path.stem:
        raise _refused(path, f"its id is {scenario.id!r}, which is not the file's name")
    return scenario


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{path}: {why}", not_done="No scenario was run", next_step="docs/evals.md says what stands where")

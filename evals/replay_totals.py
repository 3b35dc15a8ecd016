"""Which runs are replayed, and what all of them came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from evals.recorded import History
from evals.replay import Replayed
from trading_core.domain.money import ZERO


@dataclass(slots=True)
class Totals:
    """Over all runs that were replayed.

    Attributes:
        without_bars: runs that were replayed from their evidence alone.
        cost: of what was asked now, US dollars; None when the model's price is not known.
        worth: see `evals.replay.Change`.
        failed: answers that did not come.
        words: how often the signal agent said one thing then and another now; `verdicts` the same of the gate.
    """

    runs: int = 0
    differ: int = 0
    asked: int = 0
    reused: int = 0
    without_bars: int = 0
    tokens_before: int = 0
    tokens: int = 0
    cost: Decimal | None = ZERO
    worth: Decimal = ZERO
    failed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    words: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, one: Replayed) -> None:
        self.runs += 1
        self.differ += one.differs
        self.asked += one.asked
        self.reused += one.reused
        self.without_bars += not one.bars_at_hand
        self.tokens_before += one.tokens[0]
        self.tokens += one.tokens[1]
        self.cost = None if self.cost is None or one.cost is None else self.cost + one.cost
        self.worth += sum((change.worth for change in one.changes if change.worth is not None), ZERO)
        self.failed += len(one.failed)
        self.words.update((change.before.said, change.after.said) for change in one.changes)
        gates = ((change.before.verdict, change.after.verdict) for change in one.changes)
        self.verdicts.update((then or "not asked", now or "not asked") for then, now in gates if then or now)
        self.first, self.last = self.first or one.run.as_of, one.run.as_of


def chosen(history: History, since: datetime | None, run_ids: Sequence[str] = ()) -> list[str]:
    """The runs of a session that decided something, from `since` on, or those that are named."""
    return [
        run.id
        for run in history.runs
        if run.snapshot_hash is not None and (run.id in run_ids if run_ids else since is None or run.as_of >= since)
    ]

"""What a desk did, read back from its ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from evals.prices import Price
from evals.trajectory import Asked
from trading_core.domain.orders import Fill
from trading_core.persistence.records import DecisionRecord, Outcome, RunTrail
from trading_core.persistence.session import Database

_ORDER = ("market_analysis", "signal", "rebalancing", "risk", "execution")


def asked_of(trails: Iterable[RunTrail], price: Price | None) -> tuple[Asked, ...]:
    """Every agent's answer in every cycle, in the order in which a cycle asks them; the ledger keeps them by name."""
    return tuple(_asked(one, price) for trail in trails for one in sorted(trail.decisions, key=_place))


def _place(decision: DecisionRecord) -> int:
    return _ORDER.index(decision.agent) if decision.agent in _ORDER else len(_ORDER)


def _asked(decision: DecisionRecord, price: Price | None) -> Asked:
    # A repair is made of an answer that broke its schema; where none came after it, the repair broke it too.
    invalid = decision.repairs + (1 if decision.repairs and decision.answer is None else 0)
    return Asked(
        run_id=decision.run_id,
        agent=decision.agent,
        subject=decision.subject,
        answer=decision.answer,
        abstained=decision.outcome is Outcome.ABSTAINED,
        why=decision.reason,
        problems=decision.problems,
        invalid=invalid,
        model_calls=decision.model_calls,
        input_tokens=decision.input_tokens,
        output_tokens=decision.output_tokens,
        seconds=decision.seconds,
        cost=None if price is None else price.of(decision.input_tokens, decision.output_tokens),
    )


def denials_of(trails: Iterable[RunTrail]) -> dict[str, int]:
    """How often the gate failed a check, by reason code."""
    said = (decision for trail in trails for item in trail.intents for decision in item.decisions)
    return dict(sorted(Counter(code for decision in said for code in decision.reason_codes).items()))


async def fills_between(database: Database, account_id: str, after: datetime, until: datetime) -> tuple[Fill, ...]:
    """The account's fills in `(after, until]`, in the order they were booked."""
    async with database.reading() as uow:
        return tuple(fill for fill in await uow.fills.of_account(account_id) if after < fill.at <= until)

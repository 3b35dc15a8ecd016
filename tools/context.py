"""What a tool is given beside its arguments: who asks, what the run knows, where evidence is kept.

A model never sees this and cannot forge it: LangChain passes it as the hidden `runtime` parameter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from tools.computed import Computed
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import NotPermitted
from trading_core.domain.intents import digest
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import plain
from trading_core.domain.snapshot import Snapshot
from trading_core.risk.limits import Limits

Facts = Mapping[str, object]


class RunRecord(Protocol):
    """What the record can tell a tool about earlier runs and orders."""

    async def past_decisions(self, symbol: str, limit: int) -> list[Facts]:
        """Newest first: when, which agent, what it answered."""
        ...

    async def execution_quality(self, limit: int) -> list[Facts]:
        """Newest first: the account's last orders with slippage, fees and fill ratio."""
        ...


class OperatorDesk(Protocol):
    """What the desk tells a person who asks, and what it suggests to that person. The tool has checked the permission."""

    async def orders(self, symbol: str, limit: int) -> Facts:
        """The last orders, newest first, of one symbol or of all."""
        ...

    async def performance(self) -> Facts:
        """What the account is worth and what it has come to."""
        ...

    async def explained(self, about: str) -> Facts:
        """Why the desk did what it did last about a symbol, or about an order or intent by the beginning of its id.

        Raises:
            InvalidInput: nothing of that name is on record.
        """
        ...

    async def risk_state(self) -> Facts:
        """Whether the account may trade, why, and how much of each limit is used."""
        ...

    async def propose(self, wanted: Facts, reason: str) -> Facts:
        """Put an order on a card that the person may confirm. Nothing is sent.

        Raises:
            NotPermitted: the person may not propose it.
            InvalidInput: it is no order that could be placed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """One tool result. The id is made of what it says, so the same fact has the same id in every run."""

    id: str
    tool: str
    arguments: Facts
    result: Facts

    @classmethod
    def of(cls, tool: str, arguments: Facts, result: Facts) -> Evidence:
        return cls("e" + digest([tool, arguments, result])[:8], tool, arguments, result)

    def as_text(self) -> str:
        """How a model reads it: compact JSON, the id first."""
        return json.dumps({"evidence": self.id, **self.result}, separators=(",", ":"), default=_text)


@dataclass(slots=True)
class ToolContext:
    """One agent's view of one run.

    Attributes:
        operator: the desk as it answers a person; None in a run that nobody asked for.
    """

    principal: Principal
    run_id: str
    snapshot: Snapshot
    feed: MarketFeed
    limits: Limits
    record: RunRecord
    computed: Computed
    upstream: Mapping[str, Facts] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    operator: OperatorDesk | None = None

    @property
    def desk(self) -> OperatorDesk:
        """The desk as it answers a person.

        Raises:
            NotPermitted: nobody asked: the run is the desk's own.
        """
        if self.operator is None:
            raise NotPermitted("this is for a conversation with an operator", not_done="Nothing was read or suggested")
        return self.operator

    def keep(self, evidence: Evidence) -> Evidence:
        """Note a tool result, so that the answer can be checked against it."""
        return self.evidence.setdefault(evidence.id, evidence)


def number(value: Decimal | None) -> float | None:
    """A Decimal for a model to read: JSON numbers, exact enough at 12 significant digits."""
    return None if value is None else float(f"{float(value):.12g}")


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"{type(value).__name__} cannot be shown to a model")

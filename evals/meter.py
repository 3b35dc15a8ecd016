"""What a run may spend, and has spent. Every call is paid for before it is made, at the most that it can cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from evals.prices import Price
from trading_core.domain.errors import ConfigurationError, ModelError
from trading_core.domain.money import ZERO


class BudgetSpent(ModelError):
    """A call that the budget does not allow. It was not made, and the repeat it belongs to is left for later."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Most that all calls of a run may come to, kills and failures included; None for no bound."""

    dollars: Decimal | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens in and out, and US dollars; None where the model's price is not known."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: Decimal | None = ZERO

    def plus(self, other: Spent) -> Spent:
        dollars = None if self.dollars is None or other.dollars is None else self.dollars + other.dollars
        return Spent(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            dollars,
        )

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def check_priced(label: str, price: Price | None, budget: Budget) -> None:
    """Raises ConfigurationError for a budget in dollars that nobody could keep, because the model's price is not known."""
    if budget.dollars and price is None:
        raise ConfigurationError(
            f"what {label} costs is not known, and a budget in dollars could not be kept",
            not_done="Nothing was asked",
            next_step="Give its price with --prices, or a budget in tokens with --budget-tokens",
        )


class Meter:
    """Reserves and settles. A call whose most possible cost does not fit waits for others to settle; with none under way it is
    refused, and so is everything after it.

    Attributes:
        spent: what was settled.
        is_empty: whether a call was refused.
    """

    def __init__(self, price: Price | None, budget: Budget, spent: Spent = Spent()) -> None:
        self.price, self.budget, self.spent, self.is_empty = price, budget, spent, False
        self._reserved: list[Spent] = []
        self._settled = asyncio.Condition()

    def cost(self, input_tokens: int, output_tokens: int, *, calls: int = 1) -> Spent:
        """So many tokens at the model's price."""
        dollars = None if self.price is None else self.price.of(input_tokens, output_tokens)
        return Spent(calls, input_tokens, output_tokens, dollars)

    async def reserve(self, input_tokens: int, output_tokens: int) -> Spent:
        """Set aside the most that a call can cost.

        Raises:
            BudgetSpent: it does not fit.
        """
        wanted = self.cost(input_tokens, output_tokens)
        async with self._settled:
            await self._settled.wait_for(lambda: self.is_empty or self._fits(wanted) or not self._reserved)
            if self.is_empty or not self._fits(wanted):
                self.is_empty = True
                self._settled.notify_all()
                raise BudgetSpent(
                    f"a call of up to {wanted.tokens:,} tokens does not fit into what is left of the budget",
                    not_done="It was not made",
                    next_step="Go on with a larger budget",
                )
            self._reserved.append(wanted)
        return wanted

    async def settle(self, reserved: Spent, paid: Spent) -> None:
        """Replace a reservation by what the call came to."""
        async with self._settled:
            self._reserved.remove(reserved)
            self.spent = self.spent.plus(paid)
            self._settled.notify_all()

    def _fits(self, wanted: Spent) -> bool:
        total = self.spent.plus(wanted)
        for one in self._reserved:
            total = total.plus(one)
        if self.budget.tokens is not None and total.tokens > self.budget.tokens:
            return False
        if self.budget.dollars is None:
            return True
        # Of a model without a price nothing is known but that it costs.
        return total.dollars is not None and total.dollars <= self.budget.dollars

"""What a command may spend on a model, and the refusal to ask without any bound what is paid for."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trading_core.domain.errors import ConfigurationError
from trading_core.domain.money import decimal

if TYPE_CHECKING:
    from agents.models.prices import Price
    from evals.estimate import Estimate
    from evals.meter import Budget

_NOT_ASKED = "Nothing was asked"


def budget_of(dollars: str | None, tokens: int | None) -> Budget:
    """From `--budget` and `--budget-tokens`.

    Raises:
        InvalidInput: the first is no amount.
        ConfigurationError: it is below zero.
    """
    from evals.meter import Budget

    most = None if dollars is None else decimal(dollars, name="--budget")
    if most is not None and most < 0:
        raise ConfigurationError(f"--budget is {most}", not_done="Nothing was run", next_step="Give 0 or more US dollars")
    return Budget(most, tokens)


def require_budget(label: str, endpoint: str, price: Price | None, budget: Budget, found: Estimate, *, go_on: str = "") -> None:
    """Calls that cost something need a bound, and so do those elsewhere of which nobody knows what they cost.

    Args:
        go_on: how to repeat the command.

    Raises:
        ConfigurationError: there is none.
    """
    if not found.repeats or budget.dollars is not None or budget.tokens is not None:
        return
    if price is None and not _is_near(endpoint):
        raise ConfigurationError(
            f"what calls of {label} cost is not known, and nothing bounds them",
            not_done=_NOT_ASKED,
            next_step=f"Give the price with --prices and a --budget, or --budget-tokens{go_on}",
        )
    if price is not None and not price.is_free:
        raise ConfigurationError(
            f"calls of {label} are paid for: about ${found.expected.dollars:.2f} for what is left",
            not_done=_NOT_ASKED,
            next_step=f"Give the most that it may cost with --budget{go_on}",
        )


def _is_near(endpoint: str) -> bool:
    """Whether it is on this machine or in a private network: a model of one's own, which charges nobody."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"

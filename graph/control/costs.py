"""What the models of the record have cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from agents.models.prices import FREE, Price, load_prices, price_of
from agents.models.spec import NO_KEY, ModelSettings, parse
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.money import ZERO

_OPENAI, _AT = "openai:", " at "


@cache
def listed_prices() -> dict[str, Price]:
    """The prices that come with the desk, read once."""
    return load_prices()


def price_as_recorded(model: str) -> Price | None:
    """What the model of a decision costs, by the name the record has for it; None when that is not known.

    Args:
        model: `rules`, `openai:NAME at URL`, or empty for an answer that no model gave.
    """
    if model in ("", "rules"):
        return FREE
    name, found, endpoint = model.partition(_AT)
    if not name.startswith(_OPENAI) or not found:
        return None
    try:
        return price_of(parse({"model": name, "base_url": endpoint, "api_key": NO_KEY}), listed_prices())
    except ConfigurationError:
        return None


def price_of_session(config: Mapping[str, object]) -> Price | None:
    """What the model of a session costs, from the session's config as it is kept; None when that is not known."""
    model = config.get("model")
    if not isinstance(model, Mapping):
        return FREE  # as sessions without a word of it are
    return price_of(ModelSettings.model_validate({**model, "api_key": NO_KEY}), listed_prices())


def cost(by_model: Mapping[str, tuple[int, int]]) -> tuple[Decimal, tuple[str, ...]]:
    """US dollars for input and output tokens by model, and the models with tokens whose price is not known."""
    total, unknown = ZERO, []
    for model, (input_tokens, output_tokens) in sorted(by_model.items()):
        price = price_as_recorded(model)
        if price is not None:
            total += price.of(input_tokens, output_tokens)
        elif input_tokens or output_tokens:
            unknown.append(model)
    return total, tuple(unknown)

"""What models cost: US dollars per million tokens, from a small file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path

from agents.models.spec import ModelSettings
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.money import decimal

LISTED = "March 2026"
"""When the prices that come with the desk were the provider's; `prices.toml` says where that is from."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: Decimal
    output: Decimal

    def of(self, input_tokens: int, output_tokens: int) -> Decimal:
        """US dollars for so many tokens."""
        return (self.input * input_tokens + self.output * output_tokens) / _MILLION

    @property
    def is_free(self) -> bool:
        return not self.input and not self.output


FREE = Price(Decimal(0), Decimal(0))


def load_prices(path: Path | None = None) -> dict[str, Price]:
    """Prices by model name: the ones that come with the desk, or those of a file in the same form.

    Raises:
        ConfigurationError: the file cannot be read, or a price is none.
    """
    source = path or resources.files("agents.models") / "prices.toml"
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
        return {name: Price(_dollars(row.get("input")), _dollars(row.get("output"))) for name, row in content.items()}
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from None
    except InvalidInput as error:
        raise _unusable(path, error.what) from None
    except (ValueError, AttributeError) as error:
        raise _unusable(path, str(error)) from None


def price_of(settings: ModelSettings, prices: dict[str, Price]) -> Price | None:
    """A model's price; None when it is not known. The name of a model at another endpoint says nothing of what it costs there,
    unless the file names it with the endpoint: `NAME@http://127.0.0.1:8000/v1`.
    """
    if settings.provider == "rules":
        return FREE
    named = prices.get(f"{settings.name}@{settings.endpoint}")
    return named or (prices.get(settings.name) if settings.is_hosted else None)


def _dollars(value: object) -> Decimal:
    if not isinstance(value, str | int):
        raise InvalidInput(f"a price is {value!r}, which is no amount in quotes")
    amount = decimal(value, name="price")
    if amount < 0:
        raise InvalidInput(f"a price is {amount}")
    return amount


def _unusable(path: Path | None, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"prices in {path or 'agents/models/prices.toml'}: {why}",
        not_done="Nothing was run",
        next_step='Write input = "0.40" below [NAME]',
    )

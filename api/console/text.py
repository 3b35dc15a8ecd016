"""Numbers, names and outside texts as they are shown. Money keeps its digits; only what is a measure is rounded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation

from rich.text import Text

from trading_core.domain.clock import utc

_CITATION = re.compile(r"\s?\[e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*\]")
_BLOCKS = "▁▂▃▄▅▆▇█"


def clean(text: str) -> str:
    """A text from outside on one line, without characters that could steer a terminal."""
    shown = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") else c for c in text)
    return " ".join(shown.split())


def reason(text: str) -> Text:
    """An agent's reason, its evidence ids dimmed."""
    shown = Text(clean(text))
    shown.highlight_regex(_CITATION, "dim")
    return shown


def uncited(text: str) -> str:
    """An agent's reason without its evidence ids."""
    return clean(_CITATION.sub("", text))


def without_citations(text: Text) -> Text:
    """The same text, its evidence ids taken out."""
    for match in reversed(list(_CITATION.finditer(text.plain))):
        text = text[: match.start()] + text[match.end() :]
    return text


def amount(value: Decimal, places: int = 2) -> str:
    """An amount of money, rounded for reading."""
    return f"{value:,.{places}f}"


def exact(value: Decimal | None) -> str:
    """A price or quantity with all its digits."""
    if value is None:
        return "–"
    whole, _, rest = f"{value:,f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def price(value: Decimal | None) -> str:
    """A price at eight significant digits at most: averages have no end."""
    return "–" if value is None else exact(Decimal(f"{value:.8g}"))


def measure(value: object) -> str:
    """A number of the gate or of an answer at five significant digits; anything else as it is."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return clean(str(value))
    if not number.is_finite():
        return clean(str(value))
    shown = Decimal(f"{number:.5g}") if abs(number) < 10_000 else number.quantize(Decimal(1))
    return exact(shown)


def percent(fraction: Decimal, places: int = 2) -> str:
    return f"{fraction * 100:.{places}f} %"


def signed(value: Decimal, places: int = 2) -> str:
    return f"{value:+,.{places}f}"


def basis_points(fraction: Decimal | None) -> str:
    return "–" if fraction is None else f"{fraction * 10_000:+.1f} bp"


def when(instant: datetime) -> str:
    """An instant to the minute, UTC."""
    return f"{utc(instant):%Y-%m-%d %H:%M}"


def base(symbol: str) -> str:
    """The short name of a symbol: its base currency."""
    return symbol.partition("/")[0]


def sparkline(values: Sequence[Decimal], width: int = 40) -> str:
    """Values as a row of blocks, at most `width` of them, evenly picked, the first and the last among them."""
    if not values:
        return ""
    step = max((len(values) - 1) / (width - 1), 1)
    picked = [values[round(index * step)] for index in range(int((len(values) - 1) / step) + 1)]
    low, high = min(picked), max(picked)
    if low == high:
        return _BLOCKS[3] * len(picked)
    return "".join(_BLOCKS[int((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in picked)

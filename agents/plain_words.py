"""What of a text is the operator's own, how its words are spelt, and the common names of assets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

# What somebody else wrote and the operator shows: code fences, our own brackets around outside text, mail quotes.
_SHOWN = re.compile(r"```.*?(?:```|\Z)|⟦[^⟧]*⟧|^[ \t]*>[^\n]*", re.DOTALL | re.MULTILINE)

ASSET_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "bitcoin": "BTC", "ether": "ETH", "ethereum": "ETH", "solana": "SOL", "ripple": "XRP", "cardano": "ADA",
        "dogecoin": "DOGE", "litecoin": "LTC", "polkadot": "DOT", "avalanche": "AVAX", "chainlink": "LINK", "tron": "TRX",
    }
)  # fmt: skip

# What questions turn on, and is worth knowing in a hurried spelling.
_ASKED_FOR = (
    "allocation", "balance", "correlation", "drawdown", "exposure", "holding", "holdings", "indicator", "indicators", "limit",
    "limits", "order", "orders", "performance", "portfolio", "position", "positions", "profit", "profits", "sentiment", "signal",
    "signals", "slippage", "volatility",
)  # fmt: skip
_LEAST_LETTERS = 5  # of a word that may be a misspelt one
_MOST_LETTERS = 300  # of a text in which they are looked for
_ALIKE = 0.85  # a letter too many, too few or in the wrong place


def own_words(text: str) -> str:
    """The operator's own words, without what is shown of somebody else's."""
    return _SHOWN.sub(" ", text)


def respelt(text: str) -> str:
    """The same with misspelt words of questions as they are spelt: `postions` as `positions`. Longer texts stay as they are."""
    return text if len(text) > _MOST_LETTERS else re.sub(rf"(?<![\w/@])[A-Za-z]{{{_LEAST_LETTERS},}}(?![\w/])", _respelt, text)


def _respelt(word: re.Match[str]) -> str:
    letters = word[0].lower()
    found = get_close_matches(letters, [each for each in _ASKED_FOR if each[0] == letters[0]], 1, _ALIKE)
    return found[0] if found else word[0]

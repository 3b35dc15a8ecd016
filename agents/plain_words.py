"""What of a text is the operator's own, and the common names of assets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

# What somebody else wrote and the operator shows: code fences, our own brackets around outside text, mail quotes.
_SHOWN = re.compile(r"```.*?(?:```|\Z)|⟦[^⟧]*⟧|^[ \t]*>[^\n]*", re.DOTALL | re.MULTILINE)

ASSET_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "bitcoin": "BTC", "ether": "ETH", "ethereum": "ETH", "solana": "SOL", "ripple": "XRP", "cardano": "ADA",
        "dogecoin": "DOGE", "litecoin": "LTC", "polkadot": "DOT", "avalanche": "AVAX", "chainlink": "LINK", "tron": "TRX",
    }
)  # fmt: skip


def own_words(text: str) -> str:
    """The operator's own words, without what is shown of somebody else's."""
    return _SHOWN.sub(" ", text)

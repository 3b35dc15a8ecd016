"""Which assets a text speaks of.

A name (`bitcoin`) or a cashtag (`$BTC`) is enough. A ticker that is no word (`btc`) is enough, too. A ticker that is also an
English word (`LINK`, `NEAR`), or one that is not known here, counts only in capitals and in a text that speaks of crypto.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

URL = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)

# Names in lower case. Longer names are looked for first, so that `bitcoin cash` is not bitcoin.
NAMES: Mapping[str, tuple[str, ...]] = {
    "AAVE": (),
    "ADA": ("cardano",),
    "ALGO": ("algorand",),
    "APT": ("aptos",),
    "ARB": ("arbitrum",),
    "ATOM": (),
    "AVAX": (),
    "BCH": ("bitcoin cash",),
    "BNB": ("binance coin",),
    "BTC": ("bitcoin", "bitcoins"),
    "CRO": ("cronos",),
    "DOGE": ("dogecoin",),
    "DOT": ("polkadot",),
    "ETC": ("ethereum classic",),
    "ETH": ("ethereum", "ether"),
    "FIL": ("filecoin",),
    "HBAR": ("hedera",),
    "ICP": ("internet computer",),
    "INJ": ("injective protocol",),
    "LINK": ("chainlink",),
    "LTC": ("litecoin",),
    "NEAR": ("near protocol",),
    "OP": (),
    "PEPE": (),
    "POL": (),
    "SHIB": ("shiba inu",),
    "SOL": ("solana",),
    "SUI": (),
    "TON": ("toncoin",),
    "TRX": ("tron",),
    "UNI": ("uniswap",),
    "VET": ("vechain",),
    "XLM": (),
    "XMR": ("monero",),
    "XRP": (),
}

# Tickers that are no word of a language people write posts in, nor a usual abbreviation: they need no help.
_PLAIN = frozenset({"AAVE", "AVAX", "BCH", "BNB", "BTC", "DOGE", "ETH", "HBAR", "LTC", "SHIB", "TRX", "XLM", "XMR", "XRP"})

_CONTEXT = re.compile(
    r"\b(?:crypto\w*|coins?|altcoins?|alts|tokens?|blockchain|wallets?|staking|staked|defi|nfts?|stablecoins?|exchanges?|binance|"
    r"coinbase|kraken|usdt|usdc|tvl|airdrops?|hodl\w*|bullish|bearish|market ?cap|on-?chain|layer ?[12]|l[12]|dapps?|mainnet)\b",
    re.IGNORECASE,
)
_CASHTAG = re.compile(r"(?<![\w$])\$([A-Za-z][A-Za-z0-9]{0,9})\b")
_NAME = re.compile(
    r"(?<!\w)#?("
    + "|".join(
        re.escape(name) for name in sorted((name for names in NAMES.values() for name in names), key=lambda n: (-len(n), n))
    )
    + r")(?!\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![\w$])#?([A-Za-z][A-Za-z0-9]{1,9})(?!\w)")
_OF_NAME = {name: base for base, names in NAMES.items() for name in names}
_SHOUTED = 0.6  # part of the letters in capitals from which on capitals say nothing


def mentioned(text: str, bases: frozenset[str]) -> frozenset[str]:
    """Those of `bases` that the text speaks of.

    Args:
        bases: assets asked for; one that has no names here is known by its ticker alone.
    """
    text = URL.sub(" ", text)
    found = cashtags(text) & bases
    found |= {_OF_NAME[match.group(1).lower()] for match in _NAME.finditer(text)} & bases
    words = set(_WORD.findall(text))
    found |= {word.upper() for word in words} & _PLAIN & bases
    doubtful = (words & bases) - _PLAIN - found
    if doubtful and not _shouted(text) and _speaks_of_crypto(text, words):
        found |= doubtful
    return frozenset(found)


def cashtags(text: str) -> frozenset[str]:
    """Every `$TICKER` of a text, known or not."""
    return frozenset(tag.upper() for tag in _CASHTAG.findall(text))


def _speaks_of_crypto(text: str, words: set[str]) -> bool:
    return bool(_CONTEXT.search(text) or _NAME.search(text) or {word.upper() for word in words} & _PLAIN)


def _shouted(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return sum(char.isupper() for char in letters) > _SHOUTED * len(letters) and len(letters) > 12

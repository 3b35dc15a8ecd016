"""Orders in plain words: read only when the whole sentence is one. What is left over is not guessed at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from agents.plain_words import ASSET_NAMES

_LONGEST = 500  # characters: what is longer is no order, and the patterns take a time that grows with the square of it
# A comma groups thousands and is nothing else: 0,1 may be meant as a tenth.
_NUMBER = r"(?:(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)k?"
_PRICE = rf"[$€]?({_NUMBER})"
_SYMBOL = r"([a-z0-9]{2,10}(?:/[a-z]{2,6})?)"
_POLITE = re.compile(
    r"^(?:(?:please|pls|ok|okay|now|then|so|hey|hi|hello|desk|can you|could you|would you|will you|i want to|i'd like to"
    r"|i would like to|let's|lets)[\s,:]+)+"
)
_ASIDE = re.compile(
    r"^(?:ignore|forget|skip|override|bypass|never mind) (?:(?:the|all|any|your|our|my|risk) )*(?:limits?|rules?|checks?|gate)"
    r"(?:,? and |,? then |[,;.:] ?)"
)
_TAIL = re.compile(r"[\s,]*(?:please|thanks|thank you|now|right now|at market|at the market|immediately|for me|[.!?])+$")
_VERB = re.compile(r"(?:buy|purchase|sell|close|exit|liquidate|dump|get out of|go flat|flatten|order)\b")
_MINE = r"(?:(?: of)? (?:my|our|the))?(?: (?:open )?(?:positions?|holdings?))?"
_ALL = re.compile(
    rf"(?:sell|close|exit|liquidate|dump)(?: out)? (?:everything|it all|all{_MINE})|go flat|flatten(?: everything)?"
)
_OPTION = re.compile(
    rf"[\s,]+(?:with )?(?:an? )?(?:(stop(?:[ -]?loss)?|sl)|(take[ -]?profit|target|tp)|(limit|at|@|for no more than|not above))"
    rf"(?: price)?(?: (?:at|of|@|=))?\s*{_PRICE}$"
)
_CURRENCY = r"(?:usdt|usdc|usd|dollars?|bucks|eur|euros?)"
_MONEY = re.compile(rf"(?:[$€]({_NUMBER})|({_NUMBER}) ?{_CURRENCY})(?: worth)?(?: of)? {_SYMBOL}")
# The size behind the coin: `eth for 500 usdt`, `btc 0.1`.
_BEHIND = re.compile(rf"([a-z][a-z0-9/]{{1,16}}) (?:(?:for|worth|with) ([$€]{_NUMBER}|{_NUMBER} ?{_CURRENCY})|({_NUMBER}))")
_COINS = re.compile(rf"({_NUMBER}) (?:(?<!k )of )?{_SYMBOL}")  # 2k of SOL may be meant in coins or in money
_PART = rf"(half|a half|1/2|a third|a quarter|all|everything|({_NUMBER}) ?(?:%|percent|per cent))(?: of)?"
_SHARE = re.compile(rf"(?:{_PART} )?(?:(?:my|our|the) )?{_SYMBOL}(?: (?:position|holding)s?)?")
_SHARES = {
    "half": "0.5",
    "a half": "0.5",
    "1/2": "0.5",
    "a third": "0.333333",
    "a quarter": "0.25",
    "all": "1",
    "everything": "1",
    None: "1",
}
_NO_SYMBOLS = frozenset(
    {"it", "this", "that", "them", "some", "all", "everything", "more", "something", "anything", "half", "of"}
)


@dataclass(frozen=True, slots=True)
class Wish:
    """One order that the operator wants. `base` is an asset or a symbol; empty for every holding."""

    side: str
    base: str
    quantity: str | None = None
    notional: str | None = None
    fraction: str | None = None
    limit: str | None = None
    stop: str | None = None
    target: str | None = None


def sounds_like_an_order(words: str) -> bool:
    """Whether a text begins as an order does, whatever follows."""
    return bool(_VERB.match(_bare(words)))


def would_pass_limits(words: str) -> bool:
    """Whether a text asks to leave the limits aside for the order that follows. None is: the order is read all the same."""
    return bool(_ASIDE.match(_POLITE.sub("", words.strip())))


def _bare(words: str) -> str:
    """Without what is said before an order."""
    return _POLITE.sub("", _ASIDE.sub("", _POLITE.sub("", words.strip())))


def wishes(words: str) -> list[Wish] | None:
    """The orders of a text in lower case; None when any part of it is not understood."""
    if len(words) > _LONGEST:
        return None
    text = _TAIL.sub("", _bare(words))
    found = []
    for part in re.split(r"(?:,? and (?:then )?|, then |; ?|, )(?=(?:buy|sell|close|exit|liquidate|dump)\b)", text):
        wish = _wish(part.strip())
        if wish is None:
            return None
        found.append(wish)
    return found


def _wish(text: str) -> Wish | None:
    if _ALL.fullmatch(text):
        return Wish("sell", "", fraction="1")
    options: dict[str, str] = {}
    while option := _OPTION.search(text):
        kind = "stop" if option[1] else "target" if option[2] else "limit"
        if kind in options:
            return None
        options[kind] = _plain(option[4])
        text = text[: option.start()]
    if match := re.fullmatch(r"(?:buy|purchase|order) (.+)", text):
        return _buy(match[1], options)
    if match := re.fullmatch(r"(?:sell|close|exit|liquidate|dump|get out of)(?: out of| out)? (.+)", text):
        return _sell(match[1], options)
    return None


def _buy(what: str, options: dict[str, str]) -> Wish | None:
    if match := _BEHIND.fullmatch(what):
        what = f"{match[2] or match[3]} {match[1]}"
    if match := _MONEY.fullmatch(what):
        return _of("buy", match[3], options, notional=_plain(match[1] or match[2]))
    if match := _COINS.fullmatch(what):
        return _of("buy", match[2], options, quantity=_plain(match[1]))
    return None


def _sell(what: str, options: dict[str, str]) -> Wish | None:
    if "stop" in options or "target" in options:
        return None
    if match := _MONEY.fullmatch(what):
        return _of("sell", match[3], options, notional=_plain(match[1] or match[2]))
    if match := _COINS.fullmatch(what):
        return _of("sell", match[2], options, quantity=_plain(match[1]))
    if match := _SHARE.fullmatch(what):
        share = f"{float(_plain(match[2])) / 100:.6g}" if match[2] else _SHARES[match[1]]
        return _of("sell", match[3], options, fraction=share)
    return None


def _of(side: str, base: str, options: dict[str, str], **size: str) -> Wish | None:
    if base in _NO_SYMBOLS:
        return None
    return Wish(side, ASSET_NAMES.get(base, base.upper()), **size, **options)


def _plain(number: str) -> str:
    digits = number.replace(",", "")
    return f"{(Decimal(digits[:-1]) * 1000).normalize():f}" if digits.endswith("k") else digits

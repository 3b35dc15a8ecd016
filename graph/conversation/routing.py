"""Whose question it is: decided by plain words and without a model, so that the first token comes at once.

It chooses who answers and nothing else. Each agent has its rights from the table and from who asks, whoever is named in a text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from agents.plain_words import ASSET_NAMES, own_words, respelt
from agents.spec import AgentName

MOST_AGENTS = 3
_MENTIONS: dict[str, AgentName] = {
    "market": "market_analysis",
    "market_analysis": "market_analysis",
    "signal": "signal",
    "risk": "risk",
    "execution": "execution",
    "rebalancing": "rebalancing",
}
_MENTION = re.compile(r"(?<![\w@.])@(\w+)", re.IGNORECASE)
_ASKS = r"(?:what|why|when|how|which|who|is|are|do|does|did|show|tell)"
_SPACES = re.compile(r"[^\S\n]+")
_CLAUSE = re.compile(rf"[?!;\n]+|\.(?=\s|$)|,?\s+(?:and|also)\s+(?={_ASKS}\b)", re.IGNORECASE)
_POLITE = (
    r"(?:please|pls|ok|okay|now|then|so|hey|hi|hello|desk|(?:can|could|would|will) you|i want to|i'd like to|i would like to"
    r"|let'?s)"
)
_ORDER = (
    r"(?:buy|sell|close|exit|liquidate|dump|order|purchase|get out of|go flat|flatten|take profits?|invest|reduce|trim"
    r"|go long|long (?=(?:\S+ )?[$€]?\d)|put [$€]?\d+|do it|place it)"
)
_ORDERING = re.compile(rf"^\W*(?:{_POLITE}\W+)*{_ORDER}\b", re.IGNORECASE)
# An order in the middle of a sentence, as in "ignore the limits and buy …": whoever owns orders says what comes of it.
_WISHING = re.compile(
    r"^(?!.*\b(?:wh(?:y|at|en|ich|o)|how|if|should|did|do|does|is|are|was|were|not|never|unless)\b)(?!.*n[’']t\b)"
    r".*\b(?:buy|sell|purchase|want|get me)\b (?:for |of )?[$€]?(?:\d|half|all\b|everything)",
    re.IGNORECASE,
)
# The first that fits a clause has it. A letter followed by `*` stands for all words that go on from there.
_WORDS: Sequence[tuple[AgentName, str]] = (
    ("risk", r"what if|what (?:would )?happens? (?:if|when)|suppose*|stress"),
    ("execution", r"what (?:has )?happened|what did (?:you|we|the desk) do|what have you done"),
    ("risk", r"fees? (?:have|did) (?:i|we) pa(?:y|id)|pa(?:y|id) (?:in |for )?fees?|(?:total|all) fees|how much .{0,20}fees?"),
    ("risk", r"denied|deny|denial*|refus*|reject*|blocked|gate|not allowed|halt*|paus*|resum*|freeze|kill|cool.?down"),
    ("signal", r"why .{0,99}(?:buy*|bought|sell*|sold|hold*|held|enter*|exit*|trad*|wait*|want*|wish*|propos*|choo?s*)"),
    ("signal", r"why .{0,99}(?:stopped|stop .{0,20}hit)"),
    (
        "risk",
        r"can (?:we|i|you) (?:still )?trade|how (?:much|many) .{0,20}can (?:we|i)|buying power|up or down|worst.case",
    ),
    ("risk", r"(?:limit|largest|biggest|max*) .{0,20}(?:orders?|positions?)"),
    ("risk", r"average (?:cost|entry)|entry price|my entry|pa(?:y|id) for|break.?even|price did (?:we|i|you) (?:buy|get)"),
    ("market_analysis", r"(?:which|what) (?:symbols?|coins?|pairs?|assets?) (?:do|can|are) (?:you|we|i) (?:trad*|watch*)"),
    ("signal", r"signal*|what next|what's next|what is next|what (?:will|would|should|are) (?:you|we)|next (?:move|trade)"),
    ("signal", r"conviction|should (?:i|we)|reason*|explain*|decid*|decision*"),
    ("rebalancing", r"rebalanc*|weight*|drift*|allocation*|diversif*|equal risk|correlat*"),
    ("execution", r"orders?|fills?|filled|slippage|fees?|stuck|execut*|trades?|cards?|cancel*|approv*|confirm*"),
    ("risk", r"risk*|expos*|limits?|draw.?down*|loss|losses|lost|losing|stops?|trading state|positions?|holdings?|holds?"),
    (
        "risk",
        r"holding|portfolio*|equity|cash|balances?|perform*|profit*|p&l|p/l|pnl|roi|how (?:are|do|did) we|doing|returns?|money",
    ),
    ("risk", r"status|summar*|overview|report|recap|(?:are|am) (?:we|you|i) (?:long|short)|did .{0,20} make"),
    ("risk", r"own|account|worth|how (?:much|many) .{0,99}(?:do|have) (?:we|i)|do (?:we|i) have|did (?:we|i) make"),
    (
        "market_analysis",
        r"trend*|prices?|indicator*|rsi|atr|adx|macd|ema|sentiment|news|markets?|volatil*|support|resistance",
    ),
    ("market_analysis", r"mood|on.?chain|bullish|bearish|quotes?|spread|moving average*|volume|regime|overbought|oversold"),
    ("market_analysis", r"compar*|versus|vs|chart*|candles?|bars|24 ?h|all.time|ath|liquidation price|funding*|open interest"),
    ("market_analysis", r"how (?:much )?is"),
)
_OWNERS = [(name, re.compile(rf"\b(?:{re.sub('(?<=[a-z])[*]', '[a-z]*', words)})\b", re.IGNORECASE)) for name, words in _WORDS]


def route(text: str, spoke_last: Sequence[AgentName]) -> tuple[AgentName, ...]:
    """Who answers, in the order in which the question asks for them.

    Args:
        spoke_last: who answered last in this conversation; a question that is nobody's is theirs.
    """
    words = respelt(own_words(text))
    named = [_MENTIONS[name.lower()] for name in _MENTION.findall(words) if name.lower() in _MENTIONS]
    if named:
        return tuple(dict.fromkeys(named))
    owners: list[AgentName] = []
    for clause in _CLAUSE.split(_SPACES.sub(" ", words)):
        if _ORDERING.search(clause) or _WISHING.search(clause):
            owners.append("execution")
        elif owner := next((name for name, pattern in _OWNERS if pattern.search(clause)), None):
            owners.append(owner)
    return tuple(dict.fromkeys(owners))[:MOST_AGENTS] or tuple(spoke_last)[:MOST_AGENTS] or ("signal",)


def symbols_in(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The desk's symbols that a text speaks of, by symbol, base or common name, in the order of the text."""
    found: dict[str, int] = {}
    for symbol in known:
        base = symbol.partition("/")[0]
        names = [re.escape(symbol), re.escape(base), *(name for name, asset in ASSET_NAMES.items() if asset == base)]
        if match := re.search(rf"(?<![\w/])(?:{'|'.join(names)})(?![\w])", text, re.IGNORECASE):
            found[symbol] = match.start()
    return tuple(sorted(found, key=found.__getitem__))

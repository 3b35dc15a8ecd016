"""Whether every number in an answer's text stands on the evidence it cites.

A number is supported when a citation follows it in the same sentence (`close 63,120.5 [e1a2b3c4]`) and the cited tool
result holds that value, up to the digits shown. Parameters that name an indicator (`RSI(14)`, `EMA 200`, `20-bar`) are names,
not claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from tools.context import Evidence

_CITATION = re.compile(r"\[(e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*)\]")
_NAME = re.compile(
    r"\b(?:EMA|SMA|RSI|ATR|ADX|DI|MACD|Donchian|Bollinger|volatility)[ (-]?\d+(?:[,/ ]+\d+)*\)?"
    r"|\b\d+-(?:bar|day|hour|week|period)\b",
    re.IGNORECASE,
)
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z?)?")
_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?\s?%?")
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n")


def problems(texts: Iterable[str], evidence: Mapping[str, Evidence]) -> list[str]:
    """One sentence for each number without support; empty when the texts are grounded."""
    found: list[str] = []
    for text in texts:
        for sentence in _sentences(text):
            found += _problems_in(sentence, evidence)
    return found


def cited(texts: Iterable[str]) -> list[str]:
    """Every evidence id that is cited, in order, once each."""
    ids = (part.strip() for text in texts for match in _CITATION.finditer(text) for part in match[1].split(","))
    return list(dict.fromkeys(ids))


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        yield text[start : end.end()]
        start = end.end()
    yield text[start:]


def _problems_in(sentence: str, evidence: Mapping[str, Evidence]) -> list[str]:
    found = []
    blanked = _NAME.sub(lambda m: " " * len(m[0]), sentence)
    dates = [(match.start(), match[0]) for match in _DATE.finditer(blanked)]
    blanked = _DATE.sub(lambda m: " " * len(m[0]), blanked)
    citations = [(match.start(), [part.strip() for part in match[1].split(",")]) for match in _CITATION.finditer(blanked)]
    blanked = _CITATION.sub(lambda m: " " * len(m[0]), blanked)
    claims = [(match.start(), match[0].strip()) for match in _NUMBER.finditer(blanked)]
    for position, claim in sorted(claims + dates):
        ids = next((ids for start, ids in citations if start > position), None)
        if ids is None:
            found.append(f"{claim!r} cites no evidence")
            continue
        missing = [id_ for id_ in ids if id_ not in evidence]
        if missing:
            found.append(f"{claim!r} cites {', '.join(missing)}, which is no tool result of this agent")
        elif not any(_holds(evidence[id_].result, claim) for id_ in ids):
            found.append(f"{claim!r} is not in {', '.join(ids)}")
    return found


def _holds(result: object, claim: str) -> bool:
    if _DATE.fullmatch(claim):
        return any(isinstance(leaf, str) and leaf.startswith(claim) for leaf in _leaves(result))
    percent = claim.endswith("%")
    text = claim.rstrip("% ").replace(",", "").replace("−", "-").lstrip("+-")
    shown = float(text)
    mantissa, _, exponent = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
    tolerance = 0.5000001 * 10.0**-digits
    for leaf in _leaves(result):
        value = _as_number(leaf)
        if value is None:
            continue
        if abs(abs(value) - shown) <= tolerance or (percent and abs(abs(value) * 100 - shown) <= tolerance):
            return True
    return False


def _as_number(leaf: object) -> float | None:
    if isinstance(leaf, bool):
        return None
    if isinstance(leaf, int | float):
        return float(leaf)
    if isinstance(leaf, str):
        try:
            return float(leaf)
        except ValueError:
            return None
    return None


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value

"""Whether every number in an answer's text stands on the evidence it cites.

A number is supported when a citation follows it in the same sentence (`close 63,120.5 [e1a2b3c4d]`) and the cited tool
result holds that value, up to the digits shown. The parameters of the desk's own indicators (`RSI(14)`, `EMA 200`, `20-bar`)
are names, not claims. Everything else with a digit in it is a claim, and a claim whose form is not understood is refused:
what a reader takes for a number never goes unchecked. Texts are English; number words up to ten are ordinary language.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice

from tools.context import Evidence

MOST_PROBLEMS = 20  # one already holds an answer back; thousands would only fill the record
_MOST_SHOWN = 60  # characters of a claim
_LARGEST = 1_000  # digits before or after the point of a number; a claim has fewer

_ID = re.compile(r"e[0-9a-f]{8}")
_CITATION = re.compile(r"\[e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*\](?:\s*\[e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*\])*")
# An oscillator's value can equal its parameter (ADX 14), so a parameter that is cited like a value is a claim.
_NAME = re.compile(
    r"\b(?:(?:RSI|ATR|ADX|DI)(?:\(14\)|[ -]?14(?![\w.,%]*[\w%])(?!\s*[%\[]))"
    r"|volatility(?:\(20\)|[ -]20(?![\w.,%]*[\w%])(?!\s*[%\[]))"
    r"|(?:EMA|SMA|MACD|Donchian|Bollinger)(?:\(@\)|[ -]?@(?![\w.,/%]*[\w%])(?!\s*%)))".replace(
        "@", r"(?:9|10|12|20|26|50|200)(?:(?:[,/]\s?|,? and )(?:2|9|10|12|20|26|50|200)(?![\w.%]*[\w%]))*"
    )
    + r"|\b(?:1|5|10|14|20|50|200)-(?:bar|period)\b",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<![\w.,/+-])\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?(?![\w/:+-])")
_WORD = re.compile(
    r"\b(?:eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|hundreds?|thousands?|(?:m|b|tr)illions?|dozens?)\b"
    r"|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten) (?:%|percent|per cent|pct|basis|bps|points?|dollars?|usd\w?)\b"
    r"|\d+ (?:k|m|mm|mn|b|bn|t|tn)\b",
    re.IGNORECASE,
)
_GROUPED_BY_SPACES = re.compile(r"(?<![\w.,])\d{1,3}(?: \d{3})+(?!\w)")
_CHUNK = re.compile(r"[^\s()\[\]{}<>=≤≥≈~\"“”„«»|§]*\d[^\s()\[\]{}<>=≤≥≈~\"“”„«»|§]*")
_PLAIN = r"(?:[1-9](?:\.\d+)?[eE][-+]?\d{1,3}|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
_NUMBER = re.compile(rf"(?P<number>[-+]?{_PLAIN})(?P<unit>%|bps?|x|-[A-Za-z]{(3,)})?")
_RANGE = re.compile(rf"({_PLAIN})(%?)-({_PLAIN})(%?)")
_SENTENCE_END = re.compile(r"[.!?;。](?=\s|$)|[\n\r\u2028\u2029]")
_MINUS = re.compile(r"\b(?:minus|negative) (?=\d)", re.IGNORECASE)
_DASHES = str.maketrans({"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-"})


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it is written. Without a sign it tells the size only ("fell 3 %")."""

    value: Decimal
    half_digit: Decimal
    signed: bool
    percent: bool

    @classmethod
    def read(cls, text: str, *, percent: bool) -> _Number:
        plain = text.replace(",", "")
        mantissa, _, exponent = plain.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        return cls(Decimal(plain), Decimal(5).scaleb(-decimals - 1), plain[0] in "+-", percent)

    def stands_for(self, value: Decimal) -> bool:
        """Whether `value`, or a fraction taken as a percentage, rounds to this at the digits shown."""
        size = value if self.signed else abs(value)
        return any(abs(size * scale - self.value) <= self.half_digit for scale in ((1, 100) if self.percent else (1,)))


@dataclass(frozen=True, slots=True)
class _Claim:
    """Something a reader takes for a number or a date. `number` is None for a date and for a form that is not understood."""

    position: int
    text: str
    number: _Number | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What one tool result holds, sorted: a long text full of numbers must not cost more to check than to write."""

    numbers: Sequence[Decimal]
    sizes: Sequence[Decimal]
    texts: frozenset[str]

    @classmethod
    def of(cls, result: object) -> _Known:
        leaves = list(_leaves(result))
        numbers = [value for leaf in leaves if (value := _as_number(leaf)) is not None]
        return cls(sorted(numbers), sorted(map(abs, numbers)), frozenset(leaf for leaf in leaves if isinstance(leaf, str)))

    def holds(self, claim: _Claim) -> bool:
        number = claim.number
        if number is not None:
            values = self.numbers if number.signed else self.sizes
            near = (*_nearest(values, number.value), *(_nearest(values, number.value / 100) if number.percent else ()))
            return any(number.stands_for(value) for value in near)
        # A date may be cut short; any other text (a time frame, a symbol with a digit) must be in the evidence word for word.
        return claim.text in self.texts or (
            bool(_DATE.fullmatch(claim.text)) and any(text.startswith(claim.text) for text in self.texts)
        )


def problems(texts: Iterable[str], evidence: Mapping[str, Evidence]) -> list[str]:
    """One sentence for each number without support, at most `MOST_PROBLEMS`; empty when the texts are grounded."""
    known = {id_: _Known.of(item.result) for id_, item in evidence.items()}
    sentences = (sentence for text in texts for sentence in _sentences(_readable(text)))
    return list(islice((problem for sentence in sentences for problem in _problems_in(sentence, known)), MOST_PROBLEMS))


def cited(texts: Iterable[str]) -> list[str]:
    """Every evidence id that is cited, in order, once each."""
    ids = (id_ for text in texts for match in _CITATION.finditer(_readable(text)) for id_ in _ID.findall(match[0]))
    return list(dict.fromkeys(ids))


def _readable(text: str) -> str:
    """The text as a reader sees it: compatibility forms folded, digits in ASCII, invisible and combining characters gone.

    A numeral that is no decimal digit (½, ², Ⅳ, 六) becomes `?0?`, a number of no known form.
    """
    shown = []
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cf", "Mn", "Me") or (kind == "Cc" and not character.isspace()):
            continue
        if character.isnumeric() and kind != "Nd":
            shown.append("?0?")
        else:
            shown.append(str(unicodedata.decimal(character)) if kind == "Nd" else character)
    return unicodedata.normalize("NFKC", "".join(shown)).translate(_DASHES)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        yield text[start : end.end()]
        start = end.end()
    yield text[start:]


def _problems_in(sentence: str, known: Mapping[str, _Known]) -> Iterator[str]:
    citations = [(match.start(), list(dict.fromkeys(_ID.findall(match[0])))) for match in _CITATION.finditer(sentence)]
    for claim in sorted(_claims(sentence), key=lambda claim: claim.position):
        shown = repr(claim.text if len(claim.text) <= _MOST_SHOWN else f"{claim.text[:_MOST_SHOWN]}…")
        ids = next((ids for start, ids in citations if start > claim.position), None)
        if ids is None:
            yield f"{shown} cites no evidence"
            continue
        missing = [id_ for id_ in ids if id_ not in known]
        if missing:
            yield f"{shown} cites {', '.join(missing)}, which is no tool result of this agent"
        elif not any(known[id_].holds(claim) for id_ in ids):
            yield f"{shown} is not in {', '.join(ids)}"


def _claims(sentence: str) -> Iterator[_Claim]:
    blanked = _CITATION.sub(_blank, _NAME.sub(_blank, sentence))
    blanked = _MINUS.sub(lambda match: "-".rjust(len(match[0])), blanked)
    for pattern in (_DATE, _WORD, _GROUPED_BY_SPACES):
        for match in pattern.finditer(blanked):
            yield _Claim(match.start(), match[0])
        blanked = pattern.sub(_blank, blanked)
    for match in _CHUNK.finditer(blanked):
        # A leading full stop stays: without it `.5` would read as 5.
        text = match[0].rstrip(".,;:!?*_'’`").lstrip(",;:!*_'’`$€£")
        # `close:63,120` is a label and its number, `3:1` is a ratio.
        text = text[label.end() :] if (label := re.match(r"[A-Za-z_]+:", text)) else text
        # A percent sign may stand apart from its number.
        apart = "%" if re.match(r"\s%", blanked[match.end() :]) else ""
        yield from _read(match.start(), text + apart)


def _read(position: int, text: str) -> Iterator[_Claim]:
    if pair := _RANGE.fullmatch(text):
        percent = bool(pair[2] or pair[4])
        yield from (_Claim(position, part, _Number.read(part, percent=percent)) for part in (pair[1], pair[3]))
    elif match := _NUMBER.fullmatch(text):
        yield _Claim(position, text, _Number.read(match["number"], percent=match["unit"] == "%"))
    else:
        yield _Claim(position, text)


def _blank(match: re.Match[str]) -> str:
    """As long as what it hides; the mark keeps numbers on both sides of it apart."""
    return " " + "§" * (len(match[0]) - 2) + " "


def _nearest(values: Sequence[Decimal], target: Decimal) -> Sequence[Decimal]:
    """The one or two of sorted `values` next to `target`: when neither of them is close enough, none is."""
    at = bisect_left(values, target)
    return values[max(0, at - 1) : at + 1]


def _as_number(leaf: object) -> Decimal | None:
    if isinstance(leaf, bool) or not isinstance(leaf, int | float | str | Decimal):
        return None
    try:
        value = Decimal(str(leaf))
    except InvalidOperation:
        return None
    # An id such as `12e345678901` reads as a number with which no arithmetic can be done.
    return value if value.is_finite() and abs(value.adjusted()) <= _LARGEST else None


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value

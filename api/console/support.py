"""The evidence behind the numbers of a reason: which field of which tool result each of them was found in.

For showing only. Whether a reason is grounded was decided when it was given (`agents.grounding`), and is on record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading_core.persistence.records import EvidenceRecord

_CITATION = re.compile(r"\[(e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*)\]")
_PARAMETER = re.compile(
    r"\b(?:RSI|ATR|ADX|DI|EMA|SMA|MACD|Donchian|Bollinger|volatility)[ -]?\(?\d+\)?|\b\d+-(?:bar|period)", re.I
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?%?")


@dataclass(frozen=True, slots=True)
class Support:
    """A number of a reason and where it stands."""

    shown: str
    evidence_id: str
    tool: str
    subject: str
    field: str
    value: str


def supports(reason: str, evidence: Mapping[str, EvidenceRecord]) -> list[Support]:
    """Each cited number with the first field that rounds to it, in the order of the text."""
    found: list[Support] = []
    start = 0
    for citation in _CITATION.finditer(reason):
        said = _PARAMETER.sub(lambda match: " " * len(match[0]), reason[start : citation.start()])
        start = citation.end()
        records = [evidence[id_] for id_ in re.split(r"\s*,\s*", citation[1]) if id_ in evidence]
        for number in _NUMBER.findall(said):
            support = next((each for record in records for each in _in(number, record)), None)
            if support is not None:
                found.append(support)
    return list(dict.fromkeys(found))


def _in(shown: str, record: EvidenceRecord) -> Iterator[Support]:
    text = shown.rstrip("%").replace(",", "")
    wanted, half = Decimal(text), Decimal(5).scaleb(-len(text.partition(".")[2]) - 1)
    scales = (1, 100) if shown.endswith("%") else (1,)
    for field, value in _leaves(record.result):
        for size in (value, abs(value)):
            if any(abs(size * scale - wanted) <= half for scale in scales):
                subject = str(record.arguments.get("symbol", record.subject) or "")
                yield Support(shown, record.id, record.tool, subject, field, f"{value:,f}")


def _leaves(value: object, path: str = "") -> Iterable[tuple[str, Decimal]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            return
        if number.is_finite():
            yield path, number

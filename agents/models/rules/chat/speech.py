"""Numbers and sentences of an answer. Every number is followed by the id of the tool result that holds it."""

from __future__ import annotations

import re
from typing import Any

from agents.models.rules.facts import Fact, finite, shown

_CODES = {
    "approved": "the gate would let it pass now",
    "needs_approval": "the gate would ask an operator for approval",
    "denied": "the gate would deny it now",
}


def amount(fact: Fact, value: object, unit: str = "") -> str:
    """`1,234.5 USDT [id]`."""
    return f"{shown(finite(value))}{' ' + unit if unit else ''} [{fact.id}]"


def percent(fact: Fact, value: object) -> str:
    """A fraction as `12.3 % [id]`."""
    number = finite(value)
    return f"unknown [{fact.id}]" if number is None else f"{_short(number * 100)} % [{fact.id}]"


def moment(fact: Fact, value: object) -> str:
    """An instant to the second, `2026-01-31T09:00:00 UTC [id]`."""
    return f"{str(value)[:19]} UTC [{fact.id}]" if value else "an unknown time"


def named(fact: Fact, text: str) -> str:
    """A name; one with a digit in it cites where it was read."""
    return f"{text} [{fact.id}]" if re.search(r"\d", text) else text


def cannot(fact: Fact, what: str) -> str:
    """Why something cannot be told, in the desk's own words."""
    return f"I cannot tell you {what}: {wordy(str(fact.values.get('error') or fact.values.get('why') or 'it is not known'))}"


def wordy(text: str) -> str:
    """What the desk said, as it is quoted in an answer: it ends in a full stop, and without the sentences whose numbers no tool
    result holds, where others are left."""
    text = " ".join(text.split())
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    parts = re.split(r"(?<=[.!?])\s+", text)
    return " ".join([part for part in parts if not re.search(r"\d", part)] or parts)


def said(fact: Fact, quoted: object) -> str:
    """What somebody wrote, as it is quoted in a tool result; each of its sentences cites that result where it has a number."""
    text = str(quoted)
    inner = text[text.find("⟦") + 1 : text.rfind("⟧")] if "⟦" in text and "⟧" in text else text
    parts = re.split(r"(?<=[.!?;])\s+", inner)
    return " ".join(f"{part.rstrip('.!?;')} [{fact.id}]." if re.search(r"\d", part) else part for part in parts)


def verdict(fact: Fact, gate: str, failed: list[dict[str, Any]]) -> str:
    """The gate's word on a card, with every check that failed."""
    text = _CODES.get(gate, f"the gate says {gate}")
    reasons = [check(fact, one) for one in failed if not (gate == "needs_approval" and one.get("code") == "approval")]
    return f"{text[0].upper()}{text[1:]}" + (f": {'; '.join(reasons)}" if reasons else "") + "."


def check(fact: Fact, one: dict[str, Any]) -> str:
    """One failed check: its code, what was found, and the limit."""
    text = str(one.get("code"))
    found, limit = _told(one.get("found")), _told(one.get("limit"))
    if found and limit:
        text += f", {found} against {limit} [{fact.id}]"
    detail = str(one.get("detail") or "")
    return text + (f" ({detail})" if detail and not re.search(r"\d", detail) else "")


def _told(value: object) -> str:
    """A number of the gate as it is read, or a word; nothing for what is neither."""
    text = str(value)
    try:
        return shown(float(text))
    except ValueError:
        return "" if text in ("True", "False", "None") or re.search(r"\d", text) else text


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"

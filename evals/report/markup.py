"""HTML that cannot be broken by what it shows: everything is escaped unless it was made here.

Models, scenarios and venues write what they like into a report. A text never becomes markup, and characters that would hide
or reorder what stands around them are shown as a replacement mark (https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

# Controls (but tab and line feed), bidirectional overrides, lone surrogates, and what XML 1.0 does not allow.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "meta"})


class Markup(str):
    """Text that is HTML already. Only this module and the charts make it."""

    __slots__ = ()


def plain(text: object) -> str:
    """Text in which every character can be seen."""
    return _UNSEEN.sub("\ufffd", str(text).replace("\r\n", "\n"))


def join(parts: Iterable[object], separator: object = "") -> Markup:
    """Several parts as one, each escaped unless it is markup."""
    return Markup(_safe(separator).join(_safe(part) for part in parts))


def el(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. An attribute that is None is left out; `class_` is `class`, other underscores are dashes."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(plain(value))}"' for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def table(
    headings: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = (), caption: str = ""
) -> Markup:
    """A table; the columns in `numbers` are aligned to the right. A cell that is an element `td` is taken as it is."""
    head = join(
        el("th", heading, scope="col", class_="n" if place in numbers else None) for place, heading in enumerate(headings)
    )
    body = join(el("tr", join(_cell(cell, place in numbers) for place, cell in enumerate(row))) for row in rows)
    made = el("table", el("caption", caption) if caption else "", el("thead", el("tr", head)), el("tbody", body))
    return el("div", made, class_="scroll")


def details(summary: object, /, *children: object, open_: bool = False, **attributes: object) -> Markup:
    """Something that opens on a click, without a script."""
    return el("details", el("summary", summary), *children, open="" if open_ else None, **attributes)


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Names and what they are."""
    return el("dl", *(join((el("dt", name), el("dd", value))) for name, value in pairs))


def _cell(cell: object, is_number: bool) -> Markup:
    if isinstance(cell, Markup) and cell.startswith("<td"):
        return cell
    return el("td", "–" if cell is None else cell, class_="n" if is_number else None)


def _safe(part: object) -> str:
    return part if isinstance(part, Markup) else escape(plain(part))

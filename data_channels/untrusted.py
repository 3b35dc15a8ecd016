"""Text of strangers, for people's eyes only.

Posts, titles and comments may hold instructions to whoever reads them. What a channel tells of them is numbers; agents read
nothing else. A person may want to see what was said, and gets a `Quoted`: short, on one line, without anything that moves the
cursor, hides or turns letters, and inside brackets that the text cannot close.

Whoever prints one must not have it read as markup: `rich` takes `[red]` in a text for a colour unless it is told not to.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

LONGEST_QUOTE = 280
"""Characters of a quoted text."""

OPEN, CLOSE = "⟦", "⟧"

# Control, format (zero width, bidirectional overrides), surrogates, private use, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MOST_MARKS = 2  # combining marks on one letter; more of them paint over the lines around


@dataclass(frozen=True, slots=True)
class Quoted:
    """What somebody outside wrote, made harmless to look at. The text is not in `repr`, so that no log shows it by accident.

    Attributes:
        source: where it was read, in our words.
        text: cleaned, on one line, at most `LONGEST_QUOTE` characters.
    """

    source: str
    text: str = field(repr=False)

    @classmethod
    def of(cls, source: str, raw: str, cap: int = LONGEST_QUOTE) -> Quoted:
        """Quote a raw text. `cap` can only shorten it further."""
        return cls(source, _clean(raw, min(cap, LONGEST_QUOTE)))

    def __str__(self) -> str:
        """As shown to people: who wrote it is said outside the brackets, and the text cannot end them."""
        return f"{self.source}, unverified: {OPEN}{self.text}{CLOSE}"


def _clean(raw: str, cap: int) -> str:
    # Longer texts than this hold nothing that is shown; normalising can at most make 18 characters of one.
    text = unicodedata.normalize("NFKC", raw[: 4 * LONGEST_QUOTE])
    kept: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if char.isspace() or category in _UNSEEN:
            # A hidden character splits nothing; a line end or a tab is a space.
            kept.append(" " if char.isspace() else "")
        elif char not in (OPEN, CLOSE) and marks <= _MOST_MARKS:
            kept.append(char)
    line = " ".join("".join(kept).split())
    return line if len(line) <= cap else line[: max(cap - 1, 0)].rstrip() + "…"[:cap]

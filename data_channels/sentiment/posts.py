"""A post as a source reads it. It stays within `data_channels`: what leaves is numbers made of many."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from data_channels.sentiment.scoring import Score


@dataclass(frozen=True, slots=True)
class Post:
    """What one author wrote at one time: a post, a comment, a headline.

    Attributes:
        id: the source's own, unique within it.
        author: whoever answers for it, by the source's own id; a news site for a headline. Empty when the source does not tell.
        text: as written, by a stranger.
        at: when it was posted.
        account_since: when the author's account was opened, where the source tells.
        bases: what the source says it is about; None leaves that to the words of the text.
        score: the source's own score; None leaves that to the scorer.
    """

    id: str
    author: str = field(repr=False)
    text: str = field(repr=False)
    at: datetime
    account_since: datetime | None = None
    bases: frozenset[str] | None = None
    score: Score | None = None

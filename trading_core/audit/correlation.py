"""What the entries of the audit trail have in common: the request or the run in which they were made.

Whoever opens a request or a run says so here, once; the trail puts it into every entry that names nothing else itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("algotrendy_correlation", default="")


def correlation() -> str:
    """The id of the request or run that is being worked on here; empty outside of one."""
    return _current.get()


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Give what is done inside, and in tasks begun there, an id in common. The inner one counts."""
    token = _current.set(correlation_id)
    try:
        yield
    finally:
        _current.reset(token)

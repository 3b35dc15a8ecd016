"""The page around a report: one file with its style sheet inside, no script, and nothing that is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

from evals.report.markup import Markup, el, join

# Even if something slipped through, a browser would run and load nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, subtitle: object, sections: Sequence[tuple[str, str]], body: Iterable[Markup]) -> Iterable[str]:
    """The page in pieces, to be written one after another: it can be larger than memory.

    Args:
        sections: id and heading of what the page's index leads to.
        body: made with `section`.
    """
    head = (
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", Markup((resources.files("evals.report") / "report.css").read_text(encoding="utf-8"))),
    )
    index = el("nav", join((el("a", heading, href=f"#{anchor}") for anchor, heading in sections), " "))
    yield f'<!doctype html>\n<html lang="en">\n{el("head", *head)}\n<body>\n'
    yield f"<header>{el('h1', title)}{el('p', subtitle, class_='dim')}{index}</header>\n<main>\n"
    for part in body:
        yield f"{part}\n"
    yield "</main>\n</body>\n</html>\n"


def section(anchor: str, heading: str, *parts: object) -> Markup:
    """A part of the page that its index can lead to."""
    return el("section", el("h2", heading), *parts, id=anchor)

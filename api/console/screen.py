"""Consoles for people: colours and motion on a terminal, plain lines everywhere else."""

from __future__ import annotations

import os
import sys

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from api.console.text import without_citations

LABEL, ABOUT = 11, 4  # columns of a labelled line
LEAST_TEXT = 20
PIPE_WIDTH = 110  # of lines that go into a file or another program, unless COLUMNS says otherwise


def output() -> Console:
    """The console of standard output."""
    return _console(stderr=False)


def errors() -> Console:
    """The console of standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def silent() -> Console:
    """A console that shows nothing."""
    return Console(quiet=True)


def table(title: str, *headings: str, right: tuple[str, ...] = ()) -> Table:
    """A table without boxes; columns named in `right` are aligned to the right and not wrapped."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        aligned = heading in right
        made.add_column(heading, justify="right" if aligned else "left", no_wrap=aligned, header_style="dim", overflow="fold")
    return made


class Line:
    """A labelled line: what it is, what it is about, and a text that goes on below with a hanging indent.

    Args:
        short: of what does not fit on one line the evidence ids are left out, and then its end.
    """

    def __init__(self, label: str, about: str, text: Text | str, *, style: str = "", short: bool = False) -> None:
        self._head = Text.assemble("  ", (f"{label:<{LABEL}}", "cyan"), " ", (f"{about:<{ABOUT}}", "bold"), " ")
        self._text, self._short = text if isinstance(text, Text) else Text(text), short
        if style:
            self._text.stylize(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width - self._head.cell_len, LEAST_TEXT)
        text = self._text.copy()
        if self._short and text.cell_len > width:
            text = without_citations(text)
            text.truncate(width, overflow="ellipsis")
        indent = Text(" " * self._head.cell_len)
        for number, row in enumerate(text.wrap(console, width)):
            row.rstrip()
            yield Text.assemble(indent if number else self._head, row)

"""Consoles for people: colours and motion on a terminal, plain lines everywhere else."""

from __future__ import annotations

import os
import sys

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

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


def line(label: str, about: str, text: Text | str, *, style: str = "", short: bool = False) -> RenderableType:
    """A labelled line with a hanging indent.

    Args:
        short: cut off at the edge of the screen instead of going on below.
    """
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=2)
    grid.add_column(width=11, no_wrap=True)
    grid.add_column(min_width=4, no_wrap=True)
    grid.add_column(ratio=1, no_wrap=short, overflow="ellipsis" if short else "fold")
    shown = text if isinstance(text, Text) else Text(text)
    if style:
        shown.stylize(style)
    grid.add_row("", Text(label, style="cyan"), Text(about, style="bold"), shown)
    return grid

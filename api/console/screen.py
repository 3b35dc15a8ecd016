"""Consoles for people: colours and motion on a terminal, plain lines everywhere else."""

from __future__ import annotations

import os
import sys

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from api.console.text import without_citations

LABEL, ABOUT = 11, 4  # columns of a labelled line
LEAST_TEXT = 20
_LEAST_COLUMN = 6  # of a table, before its rows are shown below each other
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


class _Rows(Table):
    """A table that shows its rows one value a line where a screen is too narrow for its columns: no number is ever cut."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width() <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(str(self.title), style="bold")
        heading = max(cell_len(str(column.header)) for column in self.columns)
        for values in zip(*(column.cells for column in self.columns), strict=True):
            for column, value in zip(self.columns, values, strict=True):
                yield Text.assemble(
                    (f"  {column.header!s:<{heading}}  ", "dim"), value if isinstance(value, Text) else str(value)
                )
            yield Text()

    def _least_width(self) -> int:
        return sum(self._least(column) + self.padding[1] for column in self.columns) - self.padding[1]

    @staticmethod
    def _least(column: Column) -> int:
        widest = max(cell_len(cell.plain if isinstance(cell, Text) else str(cell)) for cell in (column.header, *column.cells))
        return widest if column.no_wrap else min(widest, _LEAST_COLUMN)


def table(title: str, *headings: str, right: tuple[str, ...] = ()) -> Table:
    """A table without boxes; columns named in `right` are aligned to the right and not wrapped."""
    made = _Rows(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
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

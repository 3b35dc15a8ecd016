"""`python -m tests.acceptance [--venue V ...] [--case N ...]`: the table case × venue."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.acceptance.all_cases import ALL
from tests.acceptance.case import Case
from tests.acceptance.run import VENUES, Cell, Outcome, run_table
from tests.acceptance.table import print_table

FILE_WIDTH = 180
"""Characters of a line where no terminal says how wide it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 when every cell passes or cannot be had, 1 when one fails."""
    asked = _parser().parse_args(arguments)
    venues = tuple(venue for venue in VENUES if venue in (asked.venue or VENUES))
    cases = tuple(case for case in ALL if case.number in (asked.case or {case.number for case in ALL}))
    console, begin = Console(), time.perf_counter()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    cells = _run(console, venues, cases)
    print_table(console, venues, cells, time.perf_counter() - begin)
    return 1 if any(cell.outcome is Outcome.FAIL for cell in cells) else 0


def _run(console: Console, venues: Sequence[str], cases: Sequence[Case]) -> list[Cell]:
    cells: list[Cell] = []
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {venue: progress.add_task(venue, total=len(cases), now="") for venue in venues}

        def tell(cell: Cell) -> None:
            cells.append(cell)
            progress.update(tasks[cell.venue], advance=1, now=f"{cell.case.number} {cell.case.group}")
            if cell.outcome is Outcome.FAIL and not console.is_terminal:
                console.print(f"{cell.venue} {cell.case.number}: {cell.detail}", markup=False, highlight=False)

        asyncio.run(run_table(venues, cases, tell))
    return cells


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description="What holds at which venue.")
    parser.add_argument("--venue", nargs="+", choices=VENUES, metavar="V", help=f"some of {', '.join(VENUES)}")
    parser.add_argument("--case", nargs="+", type=int, choices=[case.number for case in ALL], metavar="N", help="their numbers")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The table case × venue, and below it why a cell is not a pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.acceptance.case import Case
from tests.acceptance.run import Cell, Outcome

MARKS = {
    Outcome.PASS: Text("pass", "green"),
    Outcome.FAIL: Text("FAIL", "bold red"),
    Outcome.NOT_APPLICABLE: Text("n/a", "dim"),
}


def print_table(console: Console, venues: Sequence[str], cells: Sequence[Cell], seconds: float) -> None:
    """Print every cell, the reasons of those that failed or cannot be had, and the sums."""
    by_place = {(cell.case.number, cell.venue): cell for cell in cells}
    cases = _in_groups({cell.case.number: cell.case for cell in cells}.values())
    console.print(_table(venues, cases, by_place))
    _print_reasons(console, "cannot be had", cells, Outcome.NOT_APPLICABLE)
    _print_reasons(console, "failed", cells, Outcome.FAIL)
    count = Counter(cell.outcome for cell in cells)
    sums = ", ".join(f"{count[outcome]} {outcome.value}" for outcome in Outcome)
    console.print(f"{len(cases)} cases at {len(venues)} venues: {sums}; {seconds:.0f} s", highlight=False)


def _in_groups(cases: Iterable[Case]) -> list[Case]:
    """By number, with a younger case of an older group among its own."""
    ordered = sorted(cases, key=lambda case: case.number)
    groups = list(dict.fromkeys(case.group for case in ordered))
    return sorted(ordered, key=lambda case: groups.index(case.group))


def _table(venues: Sequence[str], cases: Sequence[Case], cells: dict[tuple[int, str], Cell]) -> Table:
    table = Table(title="Venue acceptance", title_justify="left")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("case")
    for venue in venues:
        table.add_column(venue, no_wrap=True, min_width=len(venue))
    group = ""
    for case in cases:
        if case.group != group:
            group = case.group
            table.add_section()
            table.add_row("", Text(group, "bold"))
        marks = [MARKS[cells[case.number, venue].outcome] for venue in venues]
        table.add_row(str(case.number), case.title, *marks)
    return table


def _print_reasons(console: Console, heading: str, cells: Sequence[Cell], outcome: Outcome) -> None:
    """One line for each reason, with the cells it is for."""
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for cell in cells:
        if cell.outcome is outcome:
            found[cell.venue, cell.detail].append(cell.case.number)
    if not found:
        return
    console.print(f"\n[bold]{heading}[/bold]")
    for (venue, reason), numbers in sorted(found.items(), key=lambda item: (item[0][0], item[1])):
        console.print(f"  {venue} {_ranges(sorted(numbers))}: {reason}", markup=False, highlight=False, soft_wrap=True)


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as `1–3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)

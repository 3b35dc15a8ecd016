"""What a replay would have changed, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.console.screen import table
from api.console.text import amount, clean, exact, when
from evals.replay import Change, Replayed
from evals.replay_totals import Totals
from evals.standing import Standing

MOST_ROWS = 60


def show_replay(console: Console, found: Sequence[Replayed], horizon: int) -> None:
    """Every symbol that stands otherwise, then the sums."""
    totals = Totals()
    for one in found:
        totals.add(one)
    if not found:
        console.print("No run decided anything then.")
        return
    rows = [(one, change) for one in found for change in one.changes if change.differs]
    if rows:
        made = table(
            "What would have been different",
            "time UTC",
            "symbol",
            "said",
            "size",
            "gate",
            "then",
            "worth",
            right=("time UTC", "then", "worth"),
        )
        for one, change in rows[:MOST_ROWS]:
            made.add_row(when(one.run.as_of), change.symbol, *_row(change))
        console.print(made)
        if len(rows) > MOST_ROWS:
            console.print(Text(f"… and {len(rows) - MOST_ROWS} more; --json has all.", style="dim"))
    else:
        console.print("Nothing would have been different.")
    _show_totals(console, totals, horizon)
    for told in dict.fromkeys(reason for one in found for reason in one.failed):
        console.print(Text(f"  no answer: {clean(told)}", style="yellow"))


def _row(change: Change) -> tuple[str, str, str, str, str]:
    before, after = change.before, change.after
    return (
        _moved(before.said, after.said),
        _moved(_size(before), _size(after)),
        _moved(_gate(before), _gate(after)),
        "–" if change.followed is None else f"{change.followed:+.2%}",
        "–" if change.worth is None else f"{change.worth:+,.2f}",
    )


def _moved(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _size(standing: Standing) -> str:
    if not standing.quantity:
        return "0"
    return f"{exact(standing.quantity)}{'' if standing.sent else ' (not sent)'}"


def _gate(standing: Standing) -> str:
    if standing.verdict is None:
        return "–"
    return f"{standing.verdict.value} ({', '.join(standing.codes)})" if standing.codes else standing.verdict.value


def _show_totals(console: Console, totals: Totals, horizon: int) -> None:
    cost = "price not known" if totals.cost is None else f"${totals.cost:f}"
    told = (
        f"\n{totals.runs} {'run' if totals.runs == 1 else 'runs'} from {when(totals.first)} to {when(totals.last)} UTC, "
        f"{totals.differ} of them otherwise."
        if totals.first and totals.last
        else ""
    )
    console.print(Text(told, style="bold"))
    console.print(
        f"{totals.asked} answers, {totals.reused} of them as recorded; {totals.tokens:,} tokens ({cost}), "
        f"{totals.tokens_before:,} then."
    )
    console.print(
        f"Over the {horizon} bars that followed the difference came to {amount(totals.worth)} by the price alone, "
        "without fees and stops."
    )
    if totals.without_bars:
        console.print(
            Text(
                f"{totals.without_bars} runs were decided from their evidence alone: the market's bars are not at hand.",
                style="yellow",
            )
        )
    for name, pairs in (("said", totals.words), ("gate", totals.verdicts)):
        moved = {pair: times for pair, times in pairs.items() if pair[0] != pair[1]}
        if moved:
            shown = ", ".join(f"{then} → {now}: {times}" for (then, now), times in sorted(moved.items()))
            console.print(Text(f"{name}: {shown}", style="dim"))

"""Two runs of a suite beside each other, for people at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from api.console.screen import table
from api.console.text import clean
from evals.compare import Comparison, Difference, Flip

MOST_FLIPS = 20  # shown to people; --json has them all


def show_comparison(console: Console, found: Comparison, *, quiet: bool) -> None:
    """What changed beyond noise, and which scenarios flipped."""
    moved = [one for one in found.differences if one.change.value]
    left = f", {len(found.left_out)} are in one only or were changed" if found.left_out else ""
    console.print(f"Compared with {clean(found.before)}: {found.scenarios} scenarios are in both{left}.")
    if quiet:
        return
    if moved:
        scores = table(
            "What differs; beyond noise by a paired test",
            "scorer",
            "before",
            "now",
            "change",
            "p",
            "",
            right=("before", "now", "p"),
        )
        for one in moved:
            scores.add_row(
                one.scorer, f"{one.before:,.4g}", f"{one.after:,.4g}", _change(one), f"{one.adjusted:.3f}", _verdict(one)
            )
        console.print(scores)
    else:
        console.print("No scorer differs.")
    if found.flips:
        flips = table(f"Flipped: {len(found.flips)}", "scenario", "scorer", "", "passed before", "passed now")
        for flip in found.flips[:MOST_FLIPS]:
            flips.add_row(
                flip.scenario, flip.scorer, _broke(flip), "{} of {}".format(*flip.before), "{} of {}".format(*flip.after)
            )
        console.print(flips)
        if len(found.flips) > MOST_FLIPS:
            console.print(f"… and {len(found.flips) - MOST_FLIPS} more; --json lists them all")
        console.print(Text("--html FILE shows the answers of both side by side.", style="dim"))


def _change(one: Difference) -> str:
    return f"{one.change.value:+.4g} ({one.change.low:+.4g} to {one.change.high:+.4g})"


def _verdict(one: Difference) -> Text:
    if not one.beyond_noise:
        return Text("noise", style="dim")
    return Text("better", style="green") if one.is_better else Text("worse", style="red")


def _broke(flip: Flip) -> Text:
    return Text("broke", style="red") if flip.broke else Text("mended", style="green")

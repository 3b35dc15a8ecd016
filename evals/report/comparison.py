"""Two runs beside each other, for a reader."""

from __future__ import annotations

from collections.abc import Iterator

from evals.compare import LEVEL, Comparison, Difference, Pair
from evals.report.charts import shares
from evals.report.markup import Markup, details, el, facts, join, table
from evals.report.page import section
from evals.report.sections import counted
from evals.report.trails import answer_rows
from evals.results import Result
from evals.trajectory import Asked


def comparison_section(found: Comparison) -> Markup:
    """What differs beyond noise, what flipped, and the answers of the scenarios that did."""
    told = (
        f"{found.scenarios} scenarios are in both, with the same content. Beyond noise: a sign-flip test over scenarios "
        f"says so at {LEVEL:.0%}, adjusted for the number of scorers."
    )
    left = details(f"{len(found.left_out)} scenarios were left out", facts(found.left_out.items())) if found.left_out else ""
    flips = [
        (
            flip.scenario,
            flip.scorer,
            el("span", "broke", class_="bad") if flip.broke else el("span", "mended", class_="good"),
            f"{flip.before[0]} of {flip.before[1]}",
            f"{flip.after[0]} of {flip.after[1]}",
        )
        for flip in found.flips
    ]
    headings = ("Scorer", "Before", "After", "Change", "p", "Verdict")
    return section(
        "comparison",
        f"Compared with {found.before}",
        el("p", told, class_="dim"),
        table(headings, (_difference(one) for one in found.differences), numbers=(1, 2, 3, 4)),
        left,
        shares("Said before", counted(found.said[0])),
        shares("Said now", counted(found.said[1])),
        table(("Scenario", "Scorer", "", "Passed before", "Passed now"), flips, caption="Scenarios that flipped")
        if flips
        else el("p", "No scenario flipped."),
        *(_pair(pair) for pair in found.pairs),
    )


def _difference(one: Difference) -> tuple[object, ...]:
    verdict: Markup | str = "noise" if one.change.value else "same"
    if one.beyond_noise:
        verdict = el("b", "better", class_="good") if one.is_better else el("b", "worse", class_="bad")
    change = f"{one.change.value:+.4g} ({one.change.low:+.4g} to {one.change.high:+.4g})"
    return one.scorer, f"{one.before:.4g}", f"{one.after:.4g}", change, f"{one.adjusted:.3f}", verdict


def _pair(pair: Pair) -> Markup:
    rows = []
    for agent, subject, cycle, then, now in side_by_side(pair):
        changed = "" if _plain(then) == _plain(now) else "changed"
        rows.append((f"{agent} {subject}".strip(), cycle + 1, _told(then), _told(now), el("span", changed, class_="warn")))
    headings = ("Agent", "Cycle", f"Before (#{pair.before.repeat + 1})", f"Now (#{pair.after.repeat + 1})", "")
    return details(f"{pair.scenario}: both answers", table(headings, rows, numbers=(1,)))


def side_by_side(pair: Pair) -> Iterator[tuple[str, str, int, Asked | None, Asked | None]]:
    """Agent, subject, number of the cycle, and its answer in each run; None where it was not asked."""
    then, now = _asked(pair.before), _asked(pair.after)
    for key in dict.fromkeys((*then, *now)):
        yield key[1], key[2], key[0], then.get(key), now.get(key)


def _asked(result: Result) -> dict[tuple[int, str, str], Asked]:
    """By number of the cycle: the runs of two results have different ids."""
    found = result.trajectory
    if found is None:
        return {}
    cycles = {trail.run.id: number for number, trail in enumerate(found.runs)}
    return {(cycles.get(one.run_id, 0), one.agent, one.subject): one for one in found.asked}


def _plain(one: Asked | None) -> object:
    return None if one is None else (one.answer and {key: value for key, value in one.answer.items() if key != "reason"})


def _told(one: Asked | None) -> Markup:
    if one is None:
        return el("span", "not asked", class_="dim")
    if one.answer is None:
        return el("span", one.why or "no answer", class_="bad said")
    return join(
        el("div", el("span", f"{name}: ", class_="dim"), el("span", told, class_="said"))
        for name, told in answer_rows(one.answer)
    )

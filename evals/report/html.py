"""A run as one HTML file, written piece by piece: trajectories are read and written one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from evals.bars import decided_at, prices_of
from evals.compare import Comparison
from evals.gate import GateVerdict
from evals.report import sections
from evals.report.charts import Line, lines
from evals.report.comparison import comparison_section
from evals.report.markup import Markup, details, el, facts, join, table
from evals.report.overview import Overview
from evals.report.page import page, section
from evals.report.talks import talk, wanted
from evals.report.trails import cycle
from evals.results import Result, Results
from evals.schema import Scenario
from evals.trajectory import Aftermath, Trajectory
from trading_core.domain.clock import iso

MOST_DETAILS = 400  # trajectories in one file, those that failed first; a browser still opens it


def write_html(
    results: Results,
    path: Path,
    *,
    found: Overview | None = None,
    verdict: GateVerdict | None = None,
    comparison: Comparison | None = None,
    most: int = MOST_DETAILS,
) -> None:
    """The report of a run. It is there whole or not at all.

    Args:
        found: the run's overview, where it was read already.
        most: trajectories to show.
    """
    found = found or Overview.of(results)
    shown = _shown(found, most)
    header = found.header
    at = f" at {header.endpoint}" if header.endpoint else ""
    begun = f"begun {header.started_at:%Y-%m-%d %H:%M} UTC"
    subtitle = f"{header.model}{at}, {found.judged} repeats of {len(header.scenarios)} scenarios, {begun}"
    index = [("scores", "Scores"), ("actions", "Actions"), ("calibration", "Calibration"), ("returns", "What followed")]
    index = [*(index if found.suite else []), *([("comparison", "Comparison")] if comparison else [])]
    index += [("scenarios", "Scenarios"), ("trajectories", "Trajectories")]
    written = path.with_name(f"{path.name}.new")
    with written.open("w", encoding="utf-8") as file:
        for part in page(f"Eval {header.suite}", subtitle, index, _body(results, found, shown, verdict, comparison)):
            file.write(part)
    written.replace(path)


def _body(
    results: Results, found: Overview, shown: set[tuple[str, int]], verdict: GateVerdict | None, comparison: Comparison | None
) -> Iterator[Markup]:
    if verdict is not None:
        yield sections.gate(verdict)
    if found.suite is not None:
        yield sections.scorers(found.suite)
        yield sections.actions(found, found.suite)
        told = found.suite.calibration
        yield sections.confidence(told) if told else section("calibration", "Calibration", el("p", "Nobody claimed a direction."))
        yield sections.returns(found, found.suite)
    if comparison is not None:
        yield comparison_section(comparison)
    yield sections.scenarios(found.rows, (f"s-{scenario}-{repeat}" for scenario, repeat in shown))
    left = found.judged - len(shown)
    yield section(
        "trajectories", "Trajectories", el("p", f"{left} more are in {results.folder.name}.", class_="dim") if left else ""
    )
    for result in results:
        if result.key in shown and result.trajectory is not None:
            yield trajectory(result, result.trajectory)
    prompts = [(name, one[:12]) for name, one in sorted(found.header.prompts.items())]
    yield section("about", "About", facts([("Run", found.header.id), ("Suite", found.header.suite), *prompts]))


def _shown(found: Overview, most: int) -> set[tuple[str, int]]:
    """What failed, then the first repeat of everything, then the rest."""
    judged = [row for row in found.rows if not row.skipped]
    return {(row.scenario, row.repeat) for row in sorted(judged, key=lambda row: (row.passed, row.repeat, row.scenario))[:most]}


def trajectory(result: Result, found: Trajectory) -> Markup:
    """One repeat of one scenario: what it is about, how it was judged, every cycle, and what followed."""
    scenario, key = found.scenario, f"s-{result.scenario}-{result.repeat}"
    failed = [score for score in result.scores if score.passed is False]
    mark = el("span", "failed", class_="bad") if failed else el("span", "passed", class_="good")
    name = f"{scenario.id} #{result.repeat + 1}" if result.repeat else scenario.id
    question = scenario.question
    actions = ", ".join(f"{symbol}: {' or '.join(bounds.actions)}" for symbol, bounds in scenario.acceptable.items())
    by_run = {
        run: list(group) for run, group in groupby(sorted(found.asked, key=lambda one: one.run_id), key=lambda one: one.run_id)
    }
    return details(
        join((mark, " ", el("b", name), f" {scenario.title}")),
        el("p", scenario.why, class_="said"),
        facts(
            [
                *([("Acceptable", actions)] if question is None else wanted(question.expected)),
                *((f"Forbidden: {rule.action} {rule.symbol or ''}", rule.why) for rule in scenario.forbidden),
                *((f"Injected into {one.carrier}", one.text) for one in scenario.injected),
                *(("Fault", f"{one.what} {one.where} {one.how}") for one in scenario.faults),
            ]
        ),
        el("p", found.error, class_="bad said") if found.error else "",
        _led_up(scenario),
        _scores(result),
        talk(found, question, key) if question is not None else "",
        *(
            cycle(trail, by_run.get(trail.run.id, ()), f"{key}-{number}", open_=len(found.runs) == 1)
            for number, trail in enumerate(found.runs)
            if question is None
        ),
        _followed(found.aftermath) if found.aftermath else "",
        id=key,
    )


def _led_up(scenario: Scenario) -> Markup | str:
    """The closes that the desk was shown, market by market; what was recorded is not at hand here."""
    if any(market.recorded for market in scenario.markets):
        return ""
    at, charts = decided_at(scenario), []
    for symbol, prices in prices_of(scenario, None).items():
        closes = [(bar.opened_at.timestamp(), float(bar.close)) for bar in prices.seen.bars if bar.opened_at < at]
        charts.append(lines("Close", [Line(symbol, closes)], (f"{len(closes)} bars", iso(at)), height=180, percent=False))
    return details("Prices before the first decision", *charts)


def _scores(result: Result) -> Markup:
    rows = []
    for score in result.scores:
        if score.value is None and score.passed is None:
            continue
        state = (
            ""
            if score.passed is None
            else el("span", "passed", class_="good")
            if score.passed
            else el("span", "failed", class_="bad")
        )
        value = "–" if score.value is None else f"{score.value:.4g}"
        rows.append((score.scorer, state, value, join(el("div", reason, class_="said") for reason in score.reasons)))
    return details(
        "Scores",
        table(("Scorer", "", "Value", "Reasons"), rows, numbers=(2,)),
        open_=any(s.passed is False for s in result.scores),
    )


def _followed(after: Aftermath) -> Markup:
    told = [("Desk", after.desk - 1), ("Held", after.held - 1), ("Rules", None if after.rules is None else after.rules - 1)]
    moves = ", ".join(f"{symbol} {moved:+.2%}" for symbol, moved in after.moves.items())
    return el(
        "div",
        el("h3", "What followed"),
        facts(
            [
                *((name, "–" if value is None else f"{value:+.2%}") for name, value in told),
                ("Largest fall", f"{after.drawdown:.2%}"),
                ("Prices", moves or "unknown"),
            ]
        ),
        equity_charts(
            [(at.timestamp(), value - 1) for at, value in after.curve], (iso(after.curve[0][0]), iso(after.curve[-1][0]))
        )
        if after.curve
        else "",
    )


def equity_charts(curve: list[tuple[float, float]], ends: tuple[str, str], *others: Line) -> Markup:
    """Return over time, and below it how far it lies under its own peak so far."""
    peak, fallen = 1.0, []
    for x, y in curve:
        peak = max(peak, 1 + y)
        fallen.append((x, (1 + y) / peak - 1))
    return el(
        "div",
        lines("Return", [Line("desk", curve, 1), *others], ends),
        lines("Below its peak", [Line("desk", fallen, 5, filled=True)], ends, height=130),
    )

"""The parts of a suite's report that sum it up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evals.gate import GateVerdict
from evals.report.charts import reliability, scatter, shares
from evals.report.markup import Markup, el, join, table
from evals.report.overview import Overview, Row
from evals.report.page import section
from evals.scorers.bootstrap import Mean
from evals.scorers.calibration import Calibration
from evals.scorers.reading import Act
from evals.scorers.suite import Suite

WORDS = (Act.ENTER, Act.EXIT, Act.HOLD, Act.ABSTAIN, Act.NONE, Act.FAILED)
_RETURNS = ("total_return", "versus_holding", "versus_cash", "versus_rules", "max_drawdown")
_UNITS = {"latency": "seconds", "cost": "US dollars"}
_GOOD, _POOR = 0.95, 0.7  # from and below which a mean is coloured


def gate(verdict: GateVerdict) -> Markup:
    """Whether the run passes, first of all."""
    told = "The gate is passed." if verdict.passed else "The gate is not passed:"
    listed = el("ul", *(el("li", reason) for reason in verdict.reasons)) if verdict.reasons else ""
    return el("div", el("b", told), listed, class_=f"verdict {'good' if verdict.passed else 'bad'}")


def scorers(suite: Suite) -> Markup:
    """Each scorer over the suite, and judges by category."""
    judged, measured = [], []
    for one in suite.summaries:
        if one.passed is not None:
            judged.append((one.scorer, _share(one.passed), one.passed.count, f"{one.value.value:.1%}" if one.value else None))
        elif one.value is not None and one.scorer not in _RETURNS:
            measured.append(
                (", ".join(filter(None, (one.scorer, _UNITS.get(one.scorer)))), _interval(one.value), one.value.count)
            )
    told = "Intervals are 95 % bootstrap intervals over scenarios."
    return section(
        "scores",
        "Scores",
        el("p", told, class_="dim"),
        el(
            "div",
            table(("Judge", "Passed", "Of", "Mean value"), judged, numbers=(1, 2, 3)),
            table(("Measure", "Mean", "Of"), measured, numbers=(1, 2)),
            class_="two",
        ),
        _categories(suite),
    )


def _categories(suite: Suite) -> Markup:
    judges = [one for one in suite.summaries if one.passed is not None]
    names = sorted({category for one in judges for category in one.by_category})
    rows = [(name.value, *(_shaded(one.by_category.get(name)) for one in judges)) for name in names]
    columns = tuple(range(1, len(judges) + 1))
    return table(("Category", *(one.scorer for one in judges)), rows, numbers=columns, caption="Mean value by category")


def actions(found: Overview, suite: Suite) -> Markup:
    """What was said and done, against what is acceptable and against what the embedded model does."""
    told = suite.distribution
    warning = told.one_sided
    agreed = suite.agreement
    return section(
        "actions",
        "Actions",
        el("p", f"Nearly every answer is “{warning.value}”: scores say little then.", class_="bad") if warning else "",
        shares("What the signal agent said", counted(told.said)),
        shares("What the desk did", counted(told.did)),
        el(
            "div",
            _expected(found),
            _against_rules(found),
            class_="two",
        ),
        el("p", f"Repeats agree in {_interval(agreed.observed, share=True)} of pairs", _kappa(agreed.kappa), ".")
        if agreed
        else "",
    )


def counted(acts: Mapping[Act, int]) -> dict[str, int]:
    """Every word in one order, so that it has one colour on the whole page."""
    return {act.value: acts.get(act, 0) for act in WORDS}


def _kappa(kappa: float | None) -> str:
    return "" if kappa is None else f" (Fleiss’ kappa {kappa:.2f})"


def _expected(found: Overview) -> Markup:
    """Rows: what is acceptable. Columns: what was done. Green where it fits; a silent desk may stand for an abstaining one."""
    rows: defaultdict[tuple[str, ...], dict[Act, int]] = defaultdict(dict)
    for (allowed, did), times in found.expected.items():
        rows[tuple(sorted(set(allowed)))][did] = rows[tuple(sorted(set(allowed)))].get(did, 0) + times
    columns = [act for act in WORDS if act is not Act.FAILED]
    body = []
    for allowed in sorted(rows):
        cells = []
        for act in columns:
            times = rows[allowed].get(act, 0)
            fits = act.value in allowed or (act is Act.ABSTAIN and Act.NONE.value in allowed)
            cells.append(el("td", times or "", class_=f"n {'' if not times else 'good' if fits else 'bad'}".strip()))
        body.append((" or ".join(allowed), *cells))
    headings = ("Acceptable", *(act.value for act in columns))
    return table(headings, body, numbers=tuple(range(1, len(headings))), caption="Done, by what is acceptable")


def _against_rules(found: Overview) -> Markup | str:
    if not found.versus_rules:
        return ""
    columns = [act for act in WORDS if any(act in pair for pair in found.versus_rules)]
    body = [
        (
            rule.value,
            *(
                el(
                    "td",
                    found.versus_rules[rule, act] or "",
                    class_="n good" if rule is act and found.versus_rules[rule, act] else "n",
                )
                for act in columns
            ),
        )
        for rule in columns
    ]
    headings = ("rules did", *(act.value for act in columns))
    return table(headings, body, numbers=tuple(range(1, len(headings))), caption="Done, by what the rules model did there")


def confidence(found: Calibration) -> Markup:
    """Whether confidence means what it says."""
    told = (
        ("Brier score", _interval(found.brier), "0 is best, 0.25 is a coin"),
        ("Confidence less share right", _interval(found.overconfidence), "above 0: surer than it may be"),
        ("Expected calibration error", f"{found.expected_error:.3f}", "0 is best"),
    )
    return section(
        "calibration",
        "Calibration",
        table(("", "", ""), told, numbers=(1,)),
        reliability("Reliability", found.curve),
    )


def returns(found: Overview, suite: Suite) -> Markup:
    """What followed. Returns of scenarios say how a desk behaves, and nothing about profit."""
    rows = [
        (name, _interval(one.value, share=True), one.value.count)
        for name in _RETURNS
        if (one := suite.of(name)) is not None and one.value is not None
    ]
    dots = [
        (row.held, row.desk, f"{row.scenario}: {row.desk:+.2%}, held {row.held:+.2%}")
        for row in found.rows
        if row.desk is not None and row.held is not None
    ]
    if not rows:
        return section("returns", "What followed", el("p", "Nothing was looked at after the decisions."))
    return section(
        "returns",
        "What followed",
        el("p", "Scenarios are made to be hard: these returns compare desks, and promise no profit.", class_="dim"),
        table(("Over the horizon", "Mean", "Of"), rows, numbers=(1, 2)),
        scatter("Each repeat", dots, "everything bought and held", "the desk"),
    )


def scenarios(rows: Sequence[Row], shown: Iterable[str]) -> Markup:
    """Every repeat in a line, what failed first; those in `shown` lead to their trajectory."""
    leading = set(shown)
    body = []
    for row in sorted(rows, key=lambda row: (row.passed, bool(row.skipped), row.scenario, row.repeat)):
        name = f"{row.scenario} #{row.repeat + 1}" if row.repeat else row.scenario
        key = f"s-{row.scenario}-{row.repeat}"
        state = el("span", "skipped", class_="warn") if row.skipped else _state(row)
        why = (
            row.skipped
            or row.error
            or join(
                (
                    el("div", f"{score.scorer}: {reason}")
                    for score in row.failed
                    for reason in score.reasons[:2] or ("not passed",)
                ),
            )
        )
        body.append(
            (
                el("a", name, href=f"#{key}") if key in leading else name,
                el("td", row.category, class_="w"),
                state,
                None if row.desk is None else f"{row.desk:+.2%}",
                None if row.held is None else f"{row.held:+.2%}",
                None if row.drawdown is None else f"{row.drawdown:.2%}",
                why,
            )
        )
    headings = ("Scenario", "Category", "", "Return", "Held", "Drawdown", "What was wrong")
    return section("scenarios", "Scenarios", table(headings, body, numbers=(3, 4, 5)))


def _state(row: Row) -> Markup:
    return el("span", "passed", class_="good") if row.passed else el("span", "failed", class_="bad")


def _share(found: Mean) -> Markup:
    style = "good" if found.value >= _GOOD else "bad" if found.value < _POOR else None
    return el("span", _interval(found, share=True), class_=style)


def _interval(found: Mean | None, *, share: bool = False) -> str:
    if found is None:
        return "–"
    if share:
        return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _shaded(found: Mean | None) -> Markup:
    if found is None:
        return el("td", "–", class_="n dim")
    style = "good" if found.value >= _GOOD else "bad" if found.value < _POOR else ""
    return el("td", f"{found.value:.0%}", class_=f"n {style}".strip())

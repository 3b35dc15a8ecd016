"""A backtest of the desk as one HTML file, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from evals.backtest import Backtest
from evals.report.charts import Line, lines, shares
from evals.report.html import equity_charts
from evals.report.markup import Markup, details, el, facts, table
from evals.report.page import page, section
from evals.report.sections import WORDS, confidence
from evals.report.trails import cycle
from evals.scramble import LookAhead
from evals.trajectory import Asked
from graph.report import SessionReport
from trading_core.domain.clock import iso
from trading_core.domain.money import plain
from trading_core.persistence.records import RunTrail

MOST_CYCLES = 300  # shown in full: those that proposed something first


def write_backtest_html(found: Backtest, path: Path) -> None:
    """The report of a backtest. It is there whole or not at all."""
    told = found.report
    subtitle = f"{found.config.model.model} over {found.market}, {told.cycles} cycles from {iso(told.start)} to {iso(told.end)}"
    index = [("result", "Result"), ("curve", "Equity"), ("actions", "Actions"), ("calibration", "Calibration")]
    index += [("look-ahead", "Look-ahead"), ("cycles", "Cycles")]
    written = path.with_name(f"{path.name}.new")
    with written.open("w", encoding="utf-8") as file:
        for part in page(f"Backtest of {', '.join(found.config.symbols)}", subtitle, index, _body(found)):
            file.write(part)
    written.replace(path)


def write_backtest_json(found: Backtest, path: Path) -> None:
    """The result without the cycles, which are in the ledger. No wall time is in it: the same window gives the same bytes."""
    document: dict[str, Any] = {
        "market": found.market,
        "model": found.config.model.model,
        "report": {**TypeAdapter(SessionReport).dump_python(found.report, mode="json"), "profit": str(found.report.profit)},
        "held": [[iso(at), plain(worth)] for at, worth in found.held],
        "failed_runs": [{"run": one.run_id, "error": one.error} for one in found.failed],
        "look_ahead": [{"after": iso(one.after), "runs": one.runs, "differences": list(one.differences)} for one in found.checks],
        "answers": dict(Counter(one.agent for one in found.asked)),
        "tokens": sum(one.input_tokens + one.output_tokens for one in found.asked),
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _body(found: Backtest) -> Iterator[Markup]:
    yield _result(found)
    yield _curve(found)
    denials = table(("Gate check that failed", "Times"), sorted(found.report.denials.items()), numbers=(1,))
    yield section(
        "actions",
        "Actions",
        shares("What the signal agent said", _ordered(found.report.actions)),
        denials if found.report.denials else el("p", "The gate failed no check."),
    )
    told = found.calibration
    yield confidence(told) if told else section("calibration", "Calibration", el("p", "Nobody claimed a direction."))
    yield _look_ahead(found.checks)
    by_run = {
        run: list(group) for run, group in groupby(sorted(found.asked, key=lambda one: one.run_id), key=lambda one: one.run_id)
    }
    shown = _shown(found.trails)
    left = len(found.trails) - len(shown)
    note = f"{left} cycles that proposed nothing are left out; `algotrendy --home HOME/backtests show RUN` shows any."
    yield section("cycles", "Cycles", el("p", note, class_="dim") if left else "")
    for number, trail in enumerate(shown):
        yield cycle(trail, by_run.get(trail.run.id, ()), f"c{number}")


def _shown(trails: tuple[RunTrail, ...]) -> list[RunTrail]:
    """Those that proposed something, then as many others as there is room for, in their order."""
    first = sorted(range(len(trails)), key=lambda place: (not trails[place].intents and not trails[place].run.error, place))
    return [trails[place] for place in sorted(first[:MOST_CYCLES])]


def _ordered(actions: Mapping[str, int]) -> dict[str, int]:
    """In one order, so that a word has the colour it has in other reports; what is no word of an agent comes last."""
    known = {act.value: actions.get(act.value, 0) for act in WORDS}
    return known | {name: times for name, times in sorted(actions.items()) if name not in known}


def _result(found: Backtest) -> Markup:
    told, deposit = found.report, found.report.deposit
    held = told.held_instead - deposit
    rows = [
        ("Deposit", f"{deposit:,.2f} {told.currency}", ""),
        ("The desk", f"{told.equity:,.2f}", f"{told.profit / deposit:+.2%}"),
        ("Bought and held instead", f"{told.held_instead:,.2f}", f"{held / deposit:+.2%}"),
        ("Cash instead", f"{deposit:,.2f}", "+0.00%"),
        ("Largest fall from a peak", "", f"{told.drawdown:.2%}"),
    ]
    cost = _cost(found.asked)
    pairs: list[tuple[object, object]] = [
        ("Orders, fills", f"{told.orders}, {told.fills}"),
        ("Fees", ", ".join(f"{plain(amount)} {asset}" for asset, amount in told.fees.items()) or "none"),
        ("Answers", f"{len(found.asked)}, {cost}"),
        ("Trading at the end", f"{told.trading_state} {told.state_reason}".strip()),
        ("Books agree with the exchange", "yes, to the last digit" if told.balances_agree else "NO"),
    ]
    failed = [el("p", f"{one.run_id}: {one.error}", class_="bad said") for one in found.failed[:10]]
    return section("result", "Result", table(("", told.currency, "Return"), rows, numbers=(1, 2)), facts(pairs), *failed)


def _cost(asked: tuple[Asked, ...]) -> str:
    tokens = sum(one.input_tokens + one.output_tokens for one in asked)
    prices = [one.cost for one in asked]
    known = [price for price in prices if price is not None]
    return f"{tokens:,} tokens, " + (
        f"${plain(sum(known, 0 * known[0]))}" if known and len(known) == len(prices) else "price not known"
    )


def _curve(found: Backtest) -> Markup:
    deposit = float(found.report.deposit)
    curve = [(at.timestamp(), float(worth) / deposit - 1) for at, worth in found.report.curve]
    if not curve:
        return section("curve", "Equity", lines("Return", [], ("", "")))
    held = [(at.timestamp(), float(worth) / deposit - 1) for at, worth in found.held]
    ends = iso(found.report.curve[0][0]), iso(found.report.curve[-1][0])
    cash = [(curve[0][0], 0.0), (curve[-1][0], 0.0)]
    return section("curve", "Equity", equity_charts(curve, ends, Line("bought and held", held, 2), Line("cash", cash, 3)))


def _look_ahead(checks: tuple[LookAhead, ...]) -> Markup:
    if not checks:
        return section("look-ahead", "Look-ahead", el("p", "It was not checked.", class_="warn"))
    parts = []
    for one in checks:
        told = f"Everything after {iso(one.after)} was replaced by nonsense: {one.runs} cycles up to there were compared"
        if one.differences:
            parts.append(
                details(
                    el("span", f"{told}, and {len(one.differences)} decisions changed.", class_="bad"), _listed(one), open_=True
                )
            )
        else:
            parts.append(el("p", f"{told}, and not one decision changed.", class_="good"))
    return section("look-ahead", "Look-ahead", *parts)


def _listed(check: LookAhead) -> Markup:
    return el("ul", *(el("li", line) for line in check.differences[:100]))

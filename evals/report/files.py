"""The reports of a run, written together: it is read once for all of them, and once more for its trajectories."""

from __future__ import annotations

from pathlib import Path

from evals.compare import Comparison
from evals.gate import GateVerdict
from evals.report.html import write_html
from evals.report.machine import write_json, write_junit
from evals.report.overview import Overview
from evals.results import Results


def write_reports(
    results: Results,
    *,
    html: Path | None = None,
    json: Path | None = None,
    junit: Path | None = None,
    verdict: GateVerdict | None = None,
    comparison: Comparison | None = None,
) -> tuple[Path, ...]:
    """Write those that a path is given for, making its folder.

    Returns:
        What was written.
    """
    wanted = tuple(path for path in (html, json, junit) if path is not None)
    if not wanted:
        return ()
    found = Overview.of(results)
    for path in wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
    if html is not None:
        write_html(results, html, found=found, verdict=verdict, comparison=comparison)
    if json is not None:
        write_json(found, json, verdict=verdict, comparison=comparison)
    if junit is not None:
        write_junit(found, junit, verdict=verdict)
    return wanted

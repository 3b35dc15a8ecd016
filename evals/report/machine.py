"""A run for programs: JSON for scripts, JUnit XML for the pages of a CI."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pydantic import TypeAdapter

from evals.compare import Comparison
from evals.gate import GateVerdict
from evals.report.markup import plain
from evals.report.overview import Overview, Row
from evals.results import Header
from evals.scorers.suite import Suite

_HEADER, _SUITE = TypeAdapter(Header), TypeAdapter(Suite)


def write_json(found: Overview, path: Path, *, verdict: GateVerdict | None = None, comparison: Comparison | None = None) -> None:
    """The whole run but its trajectories, which stay in its folder. The same run gives the same bytes."""
    document = {
        "header": _HEADER.dump_python(found.header, mode="json"),
        "gate": None if verdict is None else {"passed": verdict.passed, "reasons": list(verdict.reasons)},
        "suite": None if found.suite is None else _SUITE.dump_python(found.suite, mode="json"),
        "scenarios": [{**_row(row), "passed": row.passed} for row in found.rows],
        "comparison": None if comparison is None else compared(comparison),
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def compared(comparison: Comparison) -> dict[str, Any]:
    """A comparison without the answers."""
    return {
        "before": comparison.before,
        "after": comparison.after,
        "scenarios": comparison.scenarios,
        "left_out": dict(comparison.left_out),
        "differences": [
            {**asdict(one), "beyond_noise": one.beyond_noise, "is_better": one.is_better} for one in comparison.differences
        ],
        "flips": [{**asdict(flip), "broke": flip.broke} for flip in comparison.flips],
        "said": [dict(said) for said in comparison.said],
    }


def write_junit(found: Overview, path: Path, *, verdict: GateVerdict | None = None) -> None:
    """A test suite for each category and a test case for each repeat of each scenario; it fails where a judge does.

    The form that CI servers read: https://github.com/testmoapp/junitxml
    """
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in found.rows:
        grouped[row.category].append(row)
    name = plain(f"{found.header.suite} {found.header.model}")
    root = ElementTree.Element("testsuites", {"name": name, **_counts(list(found.rows), gate=verdict)})
    for category in sorted(grouped):
        suite = ElementTree.SubElement(root, "testsuite", {"name": plain(category), **_counts(grouped[category])})
        for row in grouped[category]:
            suite.append(_case(row))
    if verdict is not None:
        gate = ElementTree.SubElement(root, "testsuite", {"name": "gate", **_counts([], gate=verdict)})
        case = ElementTree.SubElement(gate, "testcase", classname="gate", name="thresholds")
        if not verdict.passed:
            _fail(case, f"{len(verdict.reasons)} thresholds were not met", verdict.reasons)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(row: Row) -> ElementTree.Element:
    name = row.scenario if row.repeat == 0 else f"{row.scenario} #{row.repeat + 1}"
    case = ElementTree.Element("testcase", classname=plain(row.category), name=plain(name), time=f"{row.seconds:.3f}")
    measures = {score.scorer: score.value for score in row.scores if score.passed is None and score.value is not None}
    if measures:
        properties = ElementTree.SubElement(case, "properties")
        for key, value in measures.items():
            ElementTree.SubElement(properties, "property", name=key, value=f"{value:.6g}")
    if row.skipped:
        ElementTree.SubElement(case, "skipped", message=plain(row.skipped))
    elif row.failed:
        told = [f"{score.scorer}: {reason}" for score in row.failed for reason in score.reasons or ("not passed",)]
        _fail(case, ", ".join(score.scorer for score in row.failed), told)
    if row.error:
        ElementTree.SubElement(case, "system-err").text = plain(row.error)
    return case


def _fail(case: ElementTree.Element, message: str, lines: list[str] | tuple[str, ...]) -> None:
    ElementTree.SubElement(case, "failure", message=plain(message)).text = plain("\n".join(lines))


def _counts(rows: list[Row], gate: GateVerdict | None = None) -> dict[str, str]:
    failed = sum(not row.passed and not row.skipped for row in rows) + int(gate is not None and not gate.passed)
    return {
        "tests": str(len(rows) + int(gate is not None)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(sum(bool(row.skipped) for row in rows)),
        "time": f"{sum(row.seconds for row in rows):.3f}",
    }


def _row(row: Row) -> dict[str, Any]:
    return asdict(row)

"""Reports: everything a model wrote stays text, what is drawn is what was measured, and a real browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.compare import compare
from evals.gate import GateVerdict
from evals.report.charts import WIDTH, Line, lines, reliability, scatter, shares
from evals.report.files import write_reports
from evals.report.html import write_html
from evals.report.machine import write_json, write_junit
from evals.report.markup import Markup, el, join, plain, table
from evals.report.overview import Overview
from evals.results import Result, Results
from evals.scorers.base import measured
from evals.scorers.calibration import Claim
from evals.scorers.calibration import reliability as curve
from evals.trajectory import Aftermath
from tests.unit.eval_results import STARTED, add, made, named, passed, result
from tests.unit.scorer_cases import FACTS, asked, intent, order, run, signal, view

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)> \u202egnp.exe \x00\x1b[2J ]]> &amp;"
AFTER = Aftermath(
    desk=0.9, held=1.05, rules=1.0, drawdown=0.25, curve=tuple((STARTED + timedelta(hours=n), 1.2 - 0.1 * n) for n in range(4))
)


class Reader(HTMLParser):
    """Elements that are open, ids and links, and whether every element was closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three scenarios, one of which failed with everything that a hostile model could write."""
    evil = {
        "asked": (
            asked("market_analysis", view("down", 0.9, HOSTILE), why=HOSTILE),
            asked("signal", signal("enter", 0.8, f"{HOSTILE} [{FACTS.id}] [e00000000]"), problems=(HOSTILE,)),
        ),
        "runs": (run(orders=[order()], intents=[intent(failed=["max_position"])]),),
        "error": HOSTILE,
        "aftermath": AFTER,
    }
    found = made(tmp_path / "report", {n: [[passed("action", ok=True), measured("latency", 0.5)]] for n in range(2)})
    add(found, [result(2, 0, [passed("action", ok=False, reasons=[HOSTILE]), measured("cost", None)], **evil)])
    add(found, [Result(named(3).id, "trend", 0, None, skipped="its recording is not here")])
    add(found, [result(2, 0, [])], "rules.jsonl")
    return found


def html_of(results: Results, path: Path, **options: object) -> str:
    write_html(results, path, **options)
    return path.read_text(encoding="utf-8")


def test_what_a_model_wrote_stays_text(results: Results, tmp_path: Path) -> None:
    text = html_of(results, tmp_path / "r.html", verdict=GateVerdict((HOSTILE,)))
    read = Reader(text)
    assert read.open == []
    assert not read.seen & {"script", "img", "iframe", "object", "link", "form"}
    assert not any(name.startswith("on") for name in read.attributes)
    assert "<script" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text), "nothing hides or reorders what stands around it"
    assert "document.title=" in text, "it is shown all the same"


def test_the_file_needs_nothing_else(results: Results, tmp_path: Path) -> None:
    text = html_of(results, tmp_path / "r.html")
    read = Reader(text)
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids), "every link leads somewhere"
    assert len(read.ids) == len(set(read.ids))
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    assert not re.search(r"url\(|@import", text)
    assert not list(tmp_path.glob("*.new"))


def test_numbers_in_the_page_are_those_of_the_run(results: Results, tmp_path: Path) -> None:
    text = html_of(results, tmp_path / "r.html", comparison=compare(results, results))
    assert "66.7% (" in text, "two of three passed"
    assert "+5.00%" in text
    assert "-10.00%" in text
    assert f'href="#s-made-up-002-0-0-{FACTS.id}"' in text, "a cited fact leads to its evidence"
    assert "#s-made-up-002-0-0-e00000000" not in text, "a made-up one does not"
    assert text.index("made-up-002") < text.index("made-up-000"), "what failed comes first"
    assert "its recording is not here" in text
    assert "Prices before the first decision" in text, "whoever writes a scenario sees its chart"
    assert "No scenario flipped." in text
    assert html_of(results, tmp_path / "again.html", comparison=compare(results, results)) == text


def test_of_a_large_run_what_failed_is_kept(results: Results, tmp_path: Path) -> None:
    text = html_of(results, tmp_path / "r.html", most=1)
    assert 'id="s-made-up-002-0"' in text
    assert 'id="s-made-up-000-0"' not in text
    assert "2 more are in report." in text


def test_json_has_everything_but_trajectories(results: Results, tmp_path: Path) -> None:
    write_json(Overview.of(results), tmp_path / "r.json", verdict=GateVerdict(("too bad",)), comparison=compare(results, results))
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert found["gate"] == {"passed": False, "reasons": ["too bad"]}
    assert [row["passed"] for row in found["scenarios"]] == [True, True, False, False]
    assert found["scenarios"][2]["scores"][0]["reasons"] == [HOSTILE]
    assert found["suite"]["distribution"]["said"] == {"hold": 2, "enter": 1}
    assert found["comparison"]["flips"] == []


def test_junit_is_what_a_ci_reads(results: Results, tmp_path: Path) -> None:
    write_junit(Overview.of(results), tmp_path / "r.xml", verdict=GateVerdict(("too bad",)))
    root = ElementTree.parse(tmp_path / "r.xml").getroot()  # noqa: S314  # our own file
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }
    for suite in root.iter("testsuite"):
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
        assert {"errors", "skipped", "time"} <= set(suite.keys())
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["made-up-002", "thresholds"]
    failure = cases["made-up-002"].find("failure")
    assert failure is not None
    assert "document.title='owned'" in (failure.text or "")
    assert cases["made-up-003"].find("skipped") is not None
    assert [one.get("name") for one in cases["made-up-000"].iter("property")] == ["latency"]


def test_a_run_of_which_nothing_could_be_judged_has_a_report_too(tmp_path: Path) -> None:
    empty = made(tmp_path / "empty", {})
    add(empty, [Result(named(0).id, "trend", 0, None, skipped=HOSTILE)])
    assert Reader(html_of(empty, tmp_path / "r.html")).open == []
    paths = [tmp_path / "out" / f"r.{kind}" for kind in ("html", "json", "xml")]
    assert write_reports(empty, html=paths[0], json=paths[1], junit=paths[2]) == tuple(paths)
    assert all(path.stat().st_size for path in paths)
    assert write_reports(empty) == ()


@given(st.text())
def test_any_text_is_text(text: str) -> None:
    made_of_it = el("p", text, title=text)
    read = Reader(made_of_it)
    assert read.seen == {"p"}
    assert read.attributes == {"title"}
    assert Reader(table([text], [[text]])).seen == {"div", "table", "thead", "tr", "th", "tbody", "td"}
    ElementTree.fromstring(f"<a>{join([text])}</a>")  # noqa: S314  # made here


def test_markup_is_not_escaped_twice() -> None:
    assert el("b", el("i", "<")) == "<b><i>&lt;</i></b>"
    assert isinstance(join(["<", Markup("<br>")]), Markup)
    assert join(["<", Markup("<br>")]) == "&lt;<br>"
    assert plain("a\u2066b") == "a\ufffdb"


points = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3)), max_size=50)


@given(points.map(lambda found: sorted(found)))
def test_no_line_leaves_its_chart(found: list[tuple[float, float]]) -> None:
    text = lines("x", [Line("a", found, 1, filled=True)], ("then", "now"))
    for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", text):
        assert -0.1 <= float(x) <= WIDTH + 0.1
        assert -0.1 <= float(y) <= 240.1
    assert "nan" not in text
    assert "inf" not in text


def test_a_long_line_is_thinned_and_loses_no_fall() -> None:
    found = [(float(n), 0.0) for n in range(10_000)]
    found[7_777] = (7_777.0, -1.0)
    text = lines("x", [Line("a", found)], ("then", "now"))
    drawn = [float(y) for _, y in re.findall(r"[ML]([\d.]+),([\d.]+)", text)]
    assert len(drawn) < 1_000
    assert max(drawn) > 190, "the fall of one bar is there"


def test_what_hardly_moved_looks_as_if_it_hardly_moved() -> None:
    """A curve that rests a hundredth of a percent below zero is no fall."""
    found = [(float(n), -0.0001 - 1e-7 * (n % 3)) for n in range(50)]
    text = lines("x", [Line("a", found)], ("then", "now"))
    path = re.search(r'class="l1" d="([^"]+)"', text)
    assert path is not None
    drawn = [float(y) for _, y in re.findall(r"[ML]?([\d.]+),([\d.]+)", path[1])]
    assert max(drawn) - min(drawn) < 1
    assert ">0.00%<" in text


def test_the_other_charts_show_what_they_were_given() -> None:
    told = [Claim("signal", "BTC/USDT", 0.95, right) for right in (True, False, False, False)]
    text = reliability("Reliability", curve(told))
    assert "4 claims: said 95%, right 25%" in text
    assert text.count("<circle") == 1
    assert "enter 3 (75%)" in shares("Said", {"enter": 3, "exit": 1, "hold": 0})
    assert "hold" not in shares("Said", {"enter": 3, "exit": 1, "hold": 0})
    assert scatter("x", [(0.1, 0.2, "<b>")], "across", "up").count("&lt;b&gt;") == 1
    for nothing in (scatter("x", [], "a", "b"), shares("x", {}), lines("x", [], ("", ""))):
        assert "<svg" not in nothing


@pytest.mark.parametrize("flags", [(), ("--force-dark-mode",)], ids=["light", "dark"])
def test_a_real_browser_shows_it(results: Results, tmp_path: Path, flags: tuple[str, ...]) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    write_html(results, tmp_path / "r.html", verdict=GateVerdict(("too bad",)))
    shot = tmp_path / "r.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,1600", *flags]
    told = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}", (tmp_path / "r.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "Refused to" not in told.stderr, "the page obeys its own policy"
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 20_000, "a page was drawn"

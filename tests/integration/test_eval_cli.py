"""`algotrendy eval` as a person uses it, against a local endpoint that charges by the token."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from api.commands.evals import evaluate
from evals.runner import SCRATCH
from tests.model_server import ModelServer, faults
from tests.rules_brain import rules_brain
from tests.unit.eval_cases import three
from trading_core.domain.errors import AlgoTrendyError

ROOT = Path(__file__).parents[2]
REFUSED = 2  # where the program shows an error of ours
PRICES = '["m@{url}"]\ninput = "1"\noutput = "10"\n'


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(brain=rules_brain) as running:
        yield running


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Three small scenarios in a folder."""
    folder = tmp_path / "suite"
    folder.mkdir()
    for one in three():
        content = one.model_dump(mode="json", exclude_defaults=True)
        (folder / f"{one.id}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


class Desk:
    """The command line over one home."""

    def __init__(self, folder: Path, suite: Path, server: ModelServer | None = None) -> None:
        self.home, self.suite, self.server = folder / "home", suite, server
        self._prices = folder / "prices.toml"
        if server is not None:
            self._prices.write_text(PRICES.format(url=server.base_url))

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A process of its own, which can be killed."""
        command = [sys.executable, "-c", "from api.cli import main; main()", "--home", str(self.home), "eval", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, status: int = 0) -> str:
        """What it says; of what it refuses, why. In this process: to start another takes longer than most of these suites."""
        app = typer.Typer()
        app.command("eval")(evaluate)
        done = CliRunner().invoke(app, list(arguments), obj=self.home, env={"COLUMNS": "160"})
        if isinstance(done.exception, AlgoTrendyError):
            assert status == REFUSED, done.exception
            return str(done.exception)
        assert done.exit_code == status, done.output
        return done.stdout if status == 0 else done.output

    def model(self, *arguments: str) -> list[str]:
        assert self.server is not None
        model = ["--model", "openai:m", "--base-url", self.server.base_url, "--prices", str(self._prices)]
        return ["--suite", str(self.suite), *model, *arguments]

    def told(self, *arguments: str, status: int = 0) -> Any:
        out = self.run(*arguments, "--json", status=status)
        return json.loads(out[: out.rindex("}") + 1])

    @property
    def results(self) -> list[Path]:
        return sorted(self.home.glob("evals/*/results.jsonl"))

    def dollars(self) -> float:
        """What the endpoint would charge for all that it answered."""
        assert self.server is not None
        asked = sum(request.prompt_tokens for request in self.server.requests)
        return asked / 1e6  # at least: what it said comes on top


def test_rules_over_a_folder_show_scores_and_the_distribution_of_actions(tmp_path: Path, suite: Path) -> None:
    desk = Desk(tmp_path, suite)
    shown = desk.run("--suite", str(suite))
    for word in ("Judged", "trend", "schema", "Actions said", "enter 1 (33%)", "Results:"):
        assert word in shown
    told = desk.told("--resume", "last")
    assert (told["done"], told["left"], told["model"]) == (3, 0, "rules")
    assert told["actions"]["said"] == {"enter": 1, "exit": 1, "hold": 1}
    assert told["spent"]["calls"] == 0
    assert len(desk.results) == 1, "to go on is no new run"


def test_what_cannot_be_run_is_refused_and_leaves_no_folder(tmp_path: Path, suite: Path) -> None:
    desk = Desk(tmp_path, suite)
    assert "there is no suite 'nothing'" in desk.run("--suite", "nothing", status=REFUSED)
    assert "there is no run 'last'" in desk.run("--resume", "last", status=REFUSED)
    assert "--budget is -1" in desk.run("--budget=-1", status=REFUSED)
    named = ["--suite", str(suite)]
    assert "there is no run 'last'" in desk.run(*named, "--against", "last", status=REFUSED), "found out before it is paid for"
    assert "thresholds in" in desk.run(*named, "--thresholds", str(tmp_path / "none.toml"), status=REFUSED)
    assert not desk.home.exists()


@pytest.mark.slow
def test_paid_calls_need_a_budget_and_stay_inside_it(tmp_path: Path, suite: Path, server: ModelServer) -> None:
    desk = Desk(tmp_path, suite, server)
    refused = desk.run(*desk.model(), status=REFUSED)
    assert "are paid for" in refused
    assert "--budget" in refused
    nothing = desk.told(*desk.model("--budget", "0"), status=1)
    assert (nothing["done"], nothing["left"], nothing["spent"]["calls"]) == (0, 3, 0)
    assert server.requests == []
    some = desk.told(*desk.model("--budget", "0.04"), status=1)
    assert some["left"] > 0
    assert desk.dollars() <= float(some["spent"]["dollars"]) <= 0.04
    rest = desk.told("--resume", "last", "--prices", str(tmp_path / "prices.toml"), "--budget", "5")
    assert (rest["done"], rest["left"]) == (3, 0)
    assert most_asked(server) == 1, "no answer is paid for twice"
    again = desk.told("--suite", str(suite), "--recorded", "last")
    assert again["actions"] == rest["actions"]
    assert most_asked(server) == 1, "a recorded model is not called"


def most_asked(server: ModelServer) -> int:
    return max(Counter(json.dumps(request.body, sort_keys=True) for request in server.requests).values())


def test_a_killed_suite_goes_on_without_paying_twice(tmp_path: Path, suite: Path, server: ModelServer) -> None:
    """Faults included: an endpoint that is limited, breaks and lies now and then."""
    desk, jobs = Desk(tmp_path, suite, server), 2
    server.delay = 0.15
    server.misbehave([None, faults.status(429), None, faults.reset, None, faults.wrong_schema])
    process = desk.begin(*desk.model("--budget", "50", "--repeats", "2", "--jobs", str(jobs)))
    until = time.monotonic() + 100
    while len(server.requests) < 8 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    asked_before = len(server.requests)
    assert asked_before >= 8
    server.delay = 0.0
    told = desk.told("--resume", "last", "--prices", str(tmp_path / "prices.toml"), "--budget", "50")
    assert (told["done"], told["left"]) == (6, 0)
    assert not list(desk.home.glob(f"evals/*/{SCRATCH}")), "what the killed process left is gone"
    answered = Counter(json.dumps(request.body, sort_keys=True) for request in server.requests if request.fault is None)
    # Two repeats ask the same twice; more than that are calls that were under way when the process died.
    assert sum(max(0, times - 2) for times in answered.values()) <= jobs
    lines = desk.results[0].read_text().splitlines()
    assert len(lines) == 6
    assert len({(row["scenario"], row["repeat"]) for row in map(json.loads, lines)}) == 6
    assert float(told["spent"]["dollars"]) >= desk.dollars() * 0.9


def test_the_gate_says_why_it_does_not_pass_and_what_changed_is_shown(tmp_path: Path, suite: Path) -> None:
    thresholds = tmp_path / "gate.toml"
    thresholds.write_text("[scenarios]\nleast = 4\n")
    desk, judged = Desk(tmp_path, suite), ["--thresholds", str(thresholds)]
    assert "3 were judged" in desk.run("--suite", str(suite), "--gate", *judged, status=1)
    thresholds.write_text("[scenarios]\nleast = 3\n[scorers.schema]\nleast_passed = 1.0\n")
    assert "Gate: passed" in desk.run("--resume", "last", "--gate", *judged, "--quiet")
    assert "itself" in desk.run("--resume", "last", "--against", "last", status=REFUSED)

    wrong = suite / "enters.yaml"
    wrong.write_text(wrong.read_text().replace("title: A case", "title: Another case"))
    told = desk.told("--suite", str(suite), "--against", "last", *judged)
    assert told["comparison"]["before"] == desk.results[0].parent.name, "the last run is the one before this"
    assert (told["comparison"]["scenarios"], told["comparison"]["flips"]) == (2, [])
    assert told["comparison"]["left_out"] == {"enters": "its content has changed"}
    shown = desk.run("--resume", "last", "--against", desk.results[0].parent.name, *judged)
    assert "2 scenarios are in both, 1 are in one only or were changed" in shown

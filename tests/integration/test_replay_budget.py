"""A replay by a model that charges by the token: told what it will cost, bounded, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from api.commands.replay import replay as command
from graph.markets import make_feed
from graph.session import trade
from tests.integration.worlds import config, opened
from tests.model_server import ModelServer
from tests.rules_brain import rules_brain
from trading_core.domain.errors import ConfigurationError

CYCLES = 3
SETTINGS = config(cycles=CYCLES)
PRICES = '["m@{url}"]\ninput = "1"\noutput = "10"\n'


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(brain=rules_brain) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a recorded session."""
    folder = tmp_path_factory.mktemp("recorded")
    asyncio.run(_record(folder))
    return folder


async def _record(folder: Path) -> None:
    async with opened(folder, SETTINGS, feed=make_feed(SETTINGS)) as system:
        assert len([result async for result in trade(system)]) == CYCLES


class Replays:
    """The command line over one home and one endpoint."""

    def __init__(self, home: Path, server: ModelServer, prices: Path) -> None:
        self.home, self._server, self.prices = home, server, prices
        prices.write_text(PRICES.format(url=server.base_url))
        (home / "replays.db").unlink(missing_ok=True)  # of the test before this one

    def run(self, *options: str) -> Result:
        app = typer.Typer()
        app.command("replay")(command)
        model = ["--model", "openai:m", "--base-url", self._server.base_url, "--since", "2025-03-03"]
        return CliRunner().invoke(app, [*model, *options], obj=self.home, env={"COLUMNS": "160"})

    def priced(self, *options: str) -> Result:
        return self.run("--prices", str(self.prices), *options)

    def told(self, *options: str) -> Any:
        return json.loads(self.priced("--json", *options).stdout)


@pytest.fixture
def replays(home: Path, server: ModelServer, tmp_path: Path) -> Replays:
    return Replays(home, server, tmp_path / "prices.toml")


def test_paid_calls_need_a_budget_and_nothing_is_asked_without_one(replays: Replays, server: ModelServer) -> None:
    refused = replays.priced().exception
    assert isinstance(refused, ConfigurationError)
    assert "are paid for: about $0." in refused.what
    assert "--budget" in (refused.next_step or "")
    unpriced = replays.run("--budget", "5").exception
    assert isinstance(unpriced, ConfigurationError)
    assert "is not known" in unpriced.what
    nothing = replays.priced("--budget", "0", "--json")
    assert nothing.exit_code == 1
    told = json.loads(nothing.stdout)
    assert (told["runs"], told["left"], told["spent"]["calls"]) == ([], CYCLES, 0)
    assert server.requests == []


def test_what_it_will_cost_is_told_first_and_is_what_it_costs(replays: Replays, server: ModelServer) -> None:
    shown = replays.priced("--budget", "5")
    assert shown.exit_code == 0, shown.exception
    asked = len(server.requests)
    assert f"About {asked} calls for {CYCLES} runs" in shown.stderr
    assert "Counted at $1 in and $10 out a million tokens." in shown.stderr
    again = replays.priced()
    assert again.exit_code == 0, "what was paid for is kept, and needs no budget"
    assert "About" not in again.stderr
    assert len(server.requests) == asked


def test_a_replay_stays_inside_its_budget_and_goes_on_with_a_larger_one(replays: Replays, server: ModelServer) -> None:
    budget = Decimal("0.06")
    short = replays.told("--budget", str(budget))
    assert 0 < short["left"] < CYCLES
    assert len(short["runs"]) + short["left"] == CYCLES
    spent = Decimal(short["spent"]["dollars"])
    charged = sum(request.prompt_tokens for request in server.requests) / Decimal(1_000_000)  # at least
    assert charged <= spent <= budget
    rest = replays.told("--budget", "5")
    assert (len(rest["runs"]), rest["left"]) == (CYCLES, 0)
    asked = Counter(json.dumps(request.body, sort_keys=True) for request in server.requests)
    assert max(asked.values()) == 1, "no answer is paid for twice"

"""What is typed becomes one config, or one line about what is wrong, and nothing is written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.settings import SIMULATED, api_key, effective_limits, instant
from trading_core.domain.errors import InvalidInput

BAD = {
    "misspelt limit": (["--limit", "max_positon=0.1"], "max_position"),
    "limit without a value": (["--limit", "max_position"], "KEY=VALUE"),
    "limit out of bounds": (["--limit", "max_position=7"], "max_position"),
    "missing limits file": (["--limits", "no-such.toml"], "no-such.toml"),
    "negative account": (["--account", "-5"], "--account"),
    "NaN account": (["--account", "nan"], "--account"),
    "endless account": (["--account", "1e400"], "--account"),
    "account that is no number": (["--account", "lots"], "--account"),
    "symbol without a quote": (["--symbols", "BTC"], "BTC"),
    "empty symbol": (["--symbols", "BTC/USDT,,"], "--symbols"),
    "two quotes": (["--symbols", "BTC/USDT,ETH/EUR"], "quote"),
    "unknown timeframe": (["--timeframe", "1x"], "1x"),
    "end before start": (["--from", "2025-02-02", "--to", "2025-02-01"], "end"),
    "impossible date": (["--from", "2025-02-30"], "2025-02-30"),
    "end before the synthetic market": (["--to", "2020-01-01"], "."),
    "no cycles": (["--cycles", "0"], "cycles"),
    "unknown market": (["--market", "moon"], "moon"),
    "history without data": (["--market", "history"], "--data"),
    "data for another market": (["--data", "x"], "--data"),
    "missing data": (["--market", "history", "--data", "no-such"], "no-such"),
    "live without a venue": (["--market", "live"], "--venue"),
    "unknown venue": (["--market", "live", "--venue", "nosuch"], "nosuch"),
    "live with dates": (["--market", "live", "--venue", "binance", "--from", "2025-01-01"], "--from"),
    "unknown model": (["--model", "gpt"], "gpt"),
    "hosted model without a key": (["--model", "openai:gpt-x"], "key"),
    "endpoint for the rules model": (["--base-url", "http://127.0.0.1:9/v1"], "base_url"),
    "unreachable endpoint": (["--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1"], "127.0.0.1:9"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_changes_nothing(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, named = BAD[case]
    monkeypatch.chdir(tmp_path)
    for variable in ("OPENAI_API_KEY", "ALGOTRENDY_API_KEY", "ALGOTRENDY_HOME"):
        monkeypatch.delenv(variable, raising=False)
    result = CliRunner().invoke(app, ["run", *arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["frob"], ["run", "--frob"], ["show", "a", "b"]])
def test_unknown_commands_and_options_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["show", "nope"], ["resume", "nope"], ["approve", "nope"], ["reject", "nope"]])
def test_what_is_not_on_record_is_refused(arguments: list[str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    result = CliRunner().invoke(app, [*arguments, "--home", str(home)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "'nope'" in result.stderr
    assert not home.exists()


def test_a_key_is_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret with spaces")
    result = CliRunner().invoke(app, ["--home", str(tmp_path / "h"), "run", "--model", "openai:x"])
    assert result.exit_code == 2
    assert "sk-secret" not in result.output


def test_a_corrupt_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT_1h.csv").write_text("ts,open,high,low,close,volume\n1700000000000,1,2,3,4,5\n")
    result = CliRunner().invoke(
        app, ["--home", str(tmp_path / "h"), "run", "--market", "history", "--data", str(tmp_path / "BTCUSDT_1h.csv")]
    )
    assert result.exit_code == 2
    assert "line 2" in result.stderr
    assert not (tmp_path / "h").exists()


def test_simulated_markets_ask_nobody_unless_told_to(tmp_path: Path) -> None:
    key = "approval_above_notional"
    alone = effective_limits(None, [], simulated=True)
    assert (alone.limits.approval_above_notional, alone.sources[key]) == (None, SIMULATED)
    assert effective_limits(None, [], simulated=False).limits.approval_above_notional == Decimal(10_000)
    asked = effective_limits(None, [f"{key}=100"], simulated=True)
    assert (asked.limits.approval_above_notional, asked.sources[key]) == (Decimal(100), "override")
    (tmp_path / "mine.toml").write_text(f"{key} = 50\n")
    filed = effective_limits(tmp_path / "mine.toml", [], simulated=True)
    assert (filed.limits.approval_above_notional, filed.sources[key]) == (Decimal(50), "mine.toml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2025-03-03", datetime(2025, 3, 3, tzinfo=UTC)),
        ("2025-03-03T14:00", datetime(2025, 3, 3, 14, tzinfo=UTC)),
        ("2025-03-03T14:00Z", datetime(2025, 3, 3, 14, tzinfo=UTC)),
        ("2025-03-03T14:00+02:00", datetime(2025, 3, 3, 12, tzinfo=UTC)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, found: datetime) -> None:
    assert instant(text, "--from") == found


@pytest.mark.parametrize("text", ["", "today", "2025-3-3", "0001-01-01T00:00+14:00"])
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(InvalidInput, match="--from"):
        instant(text, "--from")


def test_openais_own_key_goes_to_openais_own_endpoint_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hosted")
    monkeypatch.delenv("ALGOTRENDY_API_KEY", raising=False)
    hosted = api_key(None)
    assert hosted is not None
    assert hosted.get_secret_value() == "sk-hosted"
    assert api_key("http://127.0.0.1:8000/v1") is None
    monkeypatch.setenv("ALGOTRENDY_API_KEY", "sk-local")
    local = api_key("http://127.0.0.1:8000/v1")
    assert local is not None
    assert local.get_secret_value() == "sk-local"

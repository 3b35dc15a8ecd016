"""Tables of the limits file for one account or one strategy, and what binds whom in the end."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.commands.limits import limits as limits_command
from api.commands.settings import SIMULATED, effective_limits
from trading_core.domain.errors import ConfigurationError
from trading_core.risk.limits import Limits, LimitValue, Tighter, direction, is_looser
from trading_core.risk.limits_book import LimitsBook, load_limits

D = Decimal
TEXT = """
max_position = 0.2
[account.paper]
max_position = "0.15"
max_positions = 3
four_eyes = true
[account.live]
cash_reserve = 0.5
[strategy."trend-1h"]
max_position = 0.1
max_positions = 5
approval_above_notional = 500
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, TEXT)


def written(folder: Path, text: str) -> Path:
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_order_is_bound_by_the_tightest_of_desk_account_and_strategy(path: Path) -> None:
    book = load_limits(path).book
    both = book.of("paper", "trend-1h")
    assert (both.max_position, both.max_positions, both.approval_above_notional) == (D("0.1"), 3, 500)
    assert both.four_eyes
    assert both.max_exposure == Limits().max_exposure
    assert book.of("paper").max_position == D("0.15")
    assert book.of("live", "trend-1h").cash_reserve == D("0.5")
    assert not book.of("live", "trend-1h").four_eyes


def test_who_has_no_table_is_bound_by_what_binds_everybody(path: Path) -> None:
    book = load_limits(path).book
    assert book.of("nobody", "nothing") == book.of("") == book.desk
    assert book.desk.max_position == D("0.2")
    assert load_limits(None).book.of("paper", "trend-1h") == Limits()


def test_each_value_says_where_it_came_from(path: Path) -> None:
    sources = load_limits(path, {"max_exposure": "0.5"}).sources_of("paper", "trend-1h")
    assert {key: sources[key] for key in ("max_position", "max_positions", "max_exposure", "drawdown")} == {
        "max_position": "limits.toml [strategy.trend-1h]",
        "max_positions": "limits.toml [account.paper]",
        "max_exposure": "override",
        "drawdown": "default",
    }
    assert load_limits(path).sources_of("paper")["max_position"] == "limits.toml [account.paper]"
    assert load_limits(path).sources_of("nobody")["max_position"] == "limits.toml"


def test_an_override_moves_what_binds_everybody_and_a_tighter_table_goes_on_binding(path: Path) -> None:
    looser = load_limits(path, {"max_position": "0.5"}).book
    assert (looser.of("paper").max_position, looser.of("live").max_position) == (D("0.15"), D("0.5"))
    tighter = load_limits(path, {"max_position": "0.12"})
    assert (tighter.book.of("paper").max_position, tighter.sources_of("paper")["max_position"]) == (D("0.12"), "override")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[account.a]\nmax_positon = 0.1", ["[account.a]", "'max_positon' is not a limit", "'max_position'"]),
        ("[account.a]\nmax_position = 0.3", ["[account.a]", "0.3 would allow more than the desk's 0.25", "lower or equal"]),
        ("[strategy.s]\ncash_reserve = 0.01", ["[strategy.s]", "0.01 would allow more than the desk's 0.05", "higher or equal"]),
        ('[strategy.s]\napproval_above_notional = "never"', ["never would allow more than the desk's 10000"]),
        ("four_eyes = true\n[account.a]\nfour_eyes = false", ["four_eyes = false would allow more"]),
        ("[account.a]\nmax_position = 0", ["[account.a]", "max_position = 0", "greater than 0"]),
        ("[account.a.b]\nmax_position = 0.1", ["[account.a]", "'b' is not a limit"]),
        ("[acount.a]\nmax_position = 0.1", ["limits.toml: [acount] is no table", "[account.NAME] or [strategy.NAME]"]),
        ("[account]\nmax_position = 0.1", ["'max_position' stands in [account], which names nobody", "[account.NAME]"]),
        ('[account." "]\nmax_position = 0.1', ["names nobody"]),
        ("account = 7", ["account = 7 is no table"]),
        ("[[strategy]]\nmax_position = 0.1", ["strategy = ", "is no table"]),
    ],
)
def test_a_table_that_is_misspelt_or_allows_more_refuses_to_start(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_limits(written(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert "Trading was not started" in message
    assert all(part in message for part in said), message


def test_a_table_is_held_against_its_own_file_whatever_the_command_line_says(tmp_path: Path) -> None:
    path = written(tmp_path, "[account.a]\nmax_position = 0.3")
    with pytest.raises(ConfigurationError, match="would allow more"):
        load_limits(path, {"max_position": "0.9"})


def test_a_simulated_market_asks_for_approval_where_a_table_does(path: Path) -> None:
    found = effective_limits(path, [], simulated=True)
    assert (found.limits.approval_above_notional, found.sources["approval_above_notional"]) == (None, SIMULATED)
    assert found.book.of("paper").approval_above_notional is None
    assert found.book.of("paper", "trend-1h").approval_above_notional == 500
    assert found.sources_of("", "trend-1h")["approval_above_notional"] == "limits.toml [strategy.trend-1h]"


def test_a_book_is_kept_and_read_again_as_it_was(path: Path) -> None:
    book = load_limits(path).book
    again = LimitsBook.model_validate_json(book.model_dump_json())
    assert again.of("paper", "trend-1h") == book.of("paper", "trend-1h")
    assert again == book


def test_a_copy_does_not_remember_what_the_original_came_to(path: Path) -> None:
    book = load_limits(path).book
    assert book.of("paper").max_exposure == D("0.80")
    copy = book.model_copy(update={"desk": Limits(max_exposure=D("0.4"))})
    assert (copy.of("paper").max_exposure, copy.of("paper").max_position) == (D("0.4"), D("0.15"))
    with pytest.raises(ValidationError):
        book.model_copy(update={"desks": Limits()})


def test_a_table_that_could_not_bind_is_refused_before_an_order_comes() -> None:
    with pytest.raises(ConfigurationError, match=r"strategy\.s: 'max_positon' is not a limit"):
        LimitsBook(strategy={"s": {"max_positon": D("0.1")}})
    for book in ({"account": {"a": {"max_position": D("-0.1")}}}, {"strategy": {"s": {"max_positions": D("0.5")}}}):
        with pytest.raises(ValidationError):
            LimitsBook.model_validate(book)


def test_names_from_outside_do_not_fill_the_memory(path: Path) -> None:
    book = load_limits(path).book
    assert all(book.of(f"account {n}", f"strategy {n}") is book.of("") for n in range(50))
    assert book.of("paper", "made up") is book.of("paper")


@st.composite
def tables(draw: st.DrawFn) -> dict[str, LimitValue]:
    """Values at or beyond the defaults, in the direction that allows less."""
    tight: dict[str, LimitValue] = {}
    for key in draw(st.sets(st.sampled_from(sorted(Limits.model_fields)), max_size=5)):
        value = getattr(Limits(), key)
        share = D(draw(st.integers(50, 100))) / 100
        if isinstance(value, bool):
            tight[key] = draw(st.booleans())
        elif direction(key) is Tighter.LOWER:
            tight[key] = max(1, int(value * share)) if isinstance(value, int) else value * share
        else:
            tight[key] = int(value / share) if isinstance(value, int) else value / share
    return tight


@given(tables(), tables())
def test_what_binds_is_the_tightest_of_the_three(account: dict[str, LimitValue], strategy: dict[str, LimitValue]) -> None:
    book = LimitsBook(account={"a": account}, strategy={"s": strategy})
    both = book.of("a", "s")
    for key in Limits.model_fields:
        value = getattr(both, key)
        given_values = [getattr(book.desk, key), *(table[key] for table in (account, strategy) if key in table)]
        assert value in given_values
        assert not any(is_looser(key, value, other) for other in given_values)


def test_the_command_shows_what_binds_an_account_and_a_strategy(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits_command(path, ["max_exposure=0.5"], "paper", "trend-1h", as_json=True)
    rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(capsys.readouterr().out)}
    assert rows["max_position"] == ("0.1", "limits.toml [strategy.trend-1h]")
    assert rows["max_positions"] == ("3", "limits.toml [account.paper]")
    assert rows["four_eyes"] == ("true", "limits.toml [account.paper]")
    assert rows["max_exposure"] == ("0.5", "override")
    assert set(rows) == set(Limits.model_fields)


def test_the_command_says_when_a_name_has_no_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits_command(path, None, "papr", "trend-1h")
    shown = capsys.readouterr().out
    assert "Risk limits of account papr, strategy trend-1h" in shown
    assert "No table for account papr" in shown
    assert "No table for strategy" not in shown
    limits_command(path)
    assert "No table" not in capsys.readouterr().out

"""Limits: where they come from, what is refused, and tightening."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_core.domain.errors import ConfigurationError
from trading_core.risk.limits import Limits, Tighter, direction, is_looser, tightened, written
from trading_core.risk.limits_book import load_limits


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "limits.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_stand_without_a_file() -> None:
    effective = load_limits(None)
    assert effective.limits == Limits()
    assert (effective.limits.risk_per_trade, effective.limits.daily_loss, effective.limits.drawdown) == (
        Decimal("0.02"),
        Decimal("0.10"),
        Decimal("0.10"),
    )
    assert set(effective.sources.values()) == {"default"}


def test_every_limit_is_described_and_knows_its_direction() -> None:
    for name, field in Limits.model_fields.items():
        assert field.description, name
        assert isinstance(direction(name), Tighter)


def test_file_beats_default_and_override_beats_file(tmp_path: Path) -> None:
    path = file(tmp_path, 'risk_per_trade = 0.01\nmax_positions = 3\napproval_above_notional = "never"\n')
    effective = load_limits(path, {"max_positions": "2"})
    assert effective.limits.risk_per_trade == Decimal("0.01")
    assert effective.limits.max_positions == 2
    assert effective.limits.approval_above_notional is None
    assert effective.sources["risk_per_trade"] == "limits.toml"
    assert effective.sources["max_positions"] == "override"
    assert effective.sources["drawdown"] == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("risk_per_trad = 0.01", ["limits.toml", "'risk_per_trad'", "'risk_per_trade'"]),
        ("risk_per_trade = 2", ["limits.toml", "risk_per_trade = 2", "less than or equal to 1"]),
        ("risk_per_trade = -0.1", ["risk_per_trade = -0.1", "greater than 0"]),
        ("risk_per_trade = nan", ["risk_per_trade = NaN", "finite"]),
        ("cash_reserve = inf", ["cash_reserve = Infinity", "finite"]),
        ("max_positions = true", ["max_positions = True", "not an exact number"]),
        ("max_positions = 1.5", ["max_positions = 1.5"]),
        ('daily_loss = "10 %"', ["daily_loss = '10 %'"]),
        ("[daily_loss]\nx = 1", ["daily_loss = {'x': 1}"]),
        ("price_collar = 0.1", ["market_order_margin 0.05 is below price_collar 0.1"]),
        ("risk_per_trade = ", ["not valid TOML"]),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_limits(file(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in said), message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_limits(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_limits(tmp_path / "latin.toml")


def test_a_bad_override_is_named_as_one() -> None:
    with pytest.raises(ConfigurationError, match=r"override: 'drawdon' is not a limit\..*'drawdown'"):
        load_limits(None, {"drawdon": "0.1"})
    with pytest.raises(ConfigurationError, match=r"override: drawdown = '0'"):
        load_limits(None, {"drawdown": "0"})


def test_limits_cannot_be_changed_or_misspelt_in_code() -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"max_position_s": 1})
    with pytest.raises(ValidationError):
        Limits.model_validate({"risk_per_trade": 0.02})
    with pytest.raises(ValidationError):
        Limits().risk_per_trade = Decimal(1)


@pytest.mark.parametrize(
    ("tighter", "looser"),
    [
        ({"risk_per_trade": "0.01"}, {"risk_per_trade": "0.021"}),
        ({"cash_reserve": "0.06"}, {"cash_reserve": "0.04"}),
        ({"max_positions": 7}, {"max_positions": 9}),
        ({"cool_down_seconds": 14_401}, {"cool_down_seconds": 14_399}),
        ({"approval_above_notional": Decimal(9_999)}, {"approval_above_notional": "never"}),
        ({"approval_lasts_seconds": 14_399}, {"approval_lasts_seconds": 14_401}),
        ({"approval_drift": "0.009"}, {"approval_drift": "0.011"}),
        ({"price_collar": "0.04"}, {"market_order_margin": "0.04"}),
        ({"market_order_margin": "0.06"}, {"price_collar": "0.06"}),
        ({}, {"no_such_limit": 1}),
    ],
)
def test_an_account_may_tighten_and_never_loosen(tighter: dict[str, object], looser: dict[str, object]) -> None:
    base = Limits()
    for key, value in tighter.items():
        assert str(getattr(tightened(base, tighter), key)) == str(value)
    with pytest.raises(ConfigurationError):
        tightened(base, looser)


def test_four_eyes_can_be_demanded_and_not_waived() -> None:
    demanding = tightened(Limits(), {"four_eyes": True})
    assert (Limits().four_eyes, demanding.four_eyes) == (False, True)
    with pytest.raises(ConfigurationError, match="four_eyes = false would allow more than the desk's true"):
        tightened(demanding, {"four_eyes": False})


@pytest.mark.parametrize(("given", "read"), [("true", True), ("false", False)])
def test_four_eyes_is_true_or_false(given: str, read: bool) -> None:
    assert load_limits(None, {"four_eyes": given}).limits.four_eyes is read
    for word in ("1", "yes", "True", ""):
        with pytest.raises(ConfigurationError, match="true or false"):
            load_limits(None, {"four_eyes": word})
    with pytest.raises(ValidationError, match="true or false"):
        Limits.model_validate({"four_eyes": 1})


def test_the_defaults_of_approvals() -> None:
    limits = Limits()
    assert (limits.approval_lasts_seconds, limits.approval_drift) == (14_400, Decimal("0.01"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "never"), (True, "true"), (False, "false"), (5, "5"), (Decimal("0.10"), "0.1"), (Decimal("1E+3"), "1000")],
)
def test_a_value_is_written_as_it_stands_in_a_file(value: object, text: str) -> None:
    assert written(value) == text


@given(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_of_two_values_at_most_one_is_looser(one: int | None, other: int | None) -> None:
    for key in ("max_positions", "cool_down_seconds"):
        assert not (is_looser(key, one, other) and is_looser(key, other, one))
        assert is_looser(key, one, other) or is_looser(key, other, one) or one == other


def test_where_nothing_needed_approval_any_threshold_is_tighter() -> None:
    base = Limits(approval_above_notional=None)
    assert tightened(base, {"approval_above_notional": 5}).approval_above_notional == 5
    assert tightened(base, {"approval_above_notional": "never"}) == base


@given(st.sampled_from(sorted(Limits.model_fields)))
def test_every_limit_may_be_restated(key: str) -> None:
    assert tightened(Limits(), {key: getattr(Limits(), key)}) == Limits()


def test_the_page_on_limits_lists_each_with_its_default_and_direction() -> None:
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    listed = [tuple(cell.strip() for cell in line.split("|")[1:5]) for line in page.splitlines() if line.startswith("| `")]
    fields = Limits.model_fields.items()
    assert listed == [(f"`{key}`", written(field.default), direction(key).value, field.description) for key, field in fields]

"""The table's own bookkeeping: numbers, reasons, failures and the way they are told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.acceptance import case as cases
from tests.acceptance.__main__ import main
from tests.acceptance.account import Account
from tests.acceptance.all_cases import ALL
from tests.acceptance.case import PAPER, Case
from tests.acceptance.run import VENUES, Cell, Outcome, run_table
from tests.acceptance.table import print_table
from trading_core.brokers.venues.profiles import PROFILES


async def _kept(account: Account) -> None:
    assert (await account.quote()).free > 0


async def _broken(account: Account) -> None:
    assert (await account.quote()).free == 0, "there is money"


def test_there_is_a_column_for_the_paper_exchange_and_each_venue_of_the_desk() -> None:
    assert set(VENUES) == {PAPER, *PROFILES}
    assert len(ALL) >= 60


def test_every_case_has_its_own_number_and_title_and_can_be_had_somewhere() -> None:
    assert [case.number for case in ALL] == list(range(1, len(ALL) + 1))
    assert len({(case.group, case.title) for case in ALL}) == len(ALL)
    for case in ALL:
        assert set(case.without) <= set(VENUES), case
        assert all(case.without.values()), case
        assert set(case.without) != set(VENUES), case


def test_a_number_is_given_once() -> None:
    with pytest.raises(ValueError, match="the same number 1"):
        cases.case(1, "group", "another")(_kept)


async def test_a_cell_passes_fails_with_one_line_or_tells_why_it_cannot_be_had() -> None:
    told: list[Cell] = []
    asked = (
        Case(1, "group", "kept", _kept),
        Case(2, "group", "broken", _broken),
        Case(3, "group", "elsewhere", _broken, without={PAPER: "not here"}),
    )
    await run_table([PAPER], asked, told.append)
    assert [(cell.case.number, cell.outcome) for cell in told] == [
        (1, Outcome.PASS),
        (2, Outcome.FAIL),
        (3, Outcome.NOT_APPLICABLE),
    ]
    assert told[1].detail.startswith("AssertionError: there is money")
    assert told[2].detail == "not here"
    page = Console(file=io.StringIO(), width=120)
    print_table(page, [PAPER], told, 1.0)
    text = page.file.getvalue()
    assert "paper 3: not here" in text
    assert "paper 2: AssertionError: there is money" in text
    assert "3 cases at 1 venues: 1 pass, 1 fail, 1 n/a; 1 s" in text


def test_the_command_runs_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--venue", "paper", "--case", "1", "3", "44"]) == 0
    printed = capsys.readouterr().out
    assert "3 cases at 1 venues: 2 pass, 0 fail, 1 n/a" in printed
    assert "paper 44: in this process: no line to lose an answer on" in printed

"""What a case is, and how one is written down.

@case(28, "cancel", "an open order is cancelled and frees what it held")
async def open_order(account: Account) -> None: ...

@line_case(45, "line", "place, reply lost: ambiguous, found under its id, sent once")
async def reply_lost(account: VenueAccount) -> None: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from tests.acceptance.account import Account
from tests.acceptance.venue_account import VenueAccount
from tests.venues.engine_types import Fees

PAPER = "paper"
NO_LINE = "in this process: no line to lose an answer on"
Run = Callable[[Account], Awaitable[None]]
LineRun = Callable[[VenueAccount], Awaitable[None]]
_NOWHERE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Case:
    """One promise, kept or not at each venue.

    Attributes:
        number: its own for ever, so that a report can name it.
        group: the heading it stands under.
        title: the promise, in one line.
        run: raises when the promise is not kept.
        fees: of the account, where it matters; None for the venue's own.
        without: venues that cannot have the case, each with the reason.
    """

    number: int
    group: str
    title: str
    run: Run
    fees: Fees | None = None
    without: Mapping[str, str] = field(default_factory=lambda: _NOWHERE)


_cases: dict[int, Case] = {}


def case(
    number: int, group: str, title: str, *, fees: Fees | None = None, without: Mapping[str, str] = _NOWHERE
) -> Callable[[Run], Run]:
    """Adds a case for every venue, the paper exchange among them, but those in `without`."""

    def add(run: Run) -> Run:
        _add(Case(number, group, title, run, fees, without))
        return run

    return add


def line_case(
    number: int,
    group: str,
    title: str,
    *,
    fees: Fees | None = None,
    without: Mapping[str, str] = _NOWHERE,
    paper: str = NO_LINE,
) -> Callable[[LineRun], LineRun]:
    """Adds a case that needs a venue's own side; the paper exchange cannot have it, for the reason in `paper`."""

    def add(run: LineRun) -> LineRun:
        _add(Case(number, group, title, cast(Run, run), fees, {PAPER: paper, **without}))
        return run

    return add


def _add(new: Case) -> None:
    if new.number in _cases:
        raise ValueError(f"cases {_cases[new.number].title!r} and {new.title!r} have the same number {new.number}")
    _cases[new.number] = new


def added() -> tuple[Case, ...]:
    """Every case that was added so far, by number."""
    return tuple(_cases[number] for number in sorted(_cases))

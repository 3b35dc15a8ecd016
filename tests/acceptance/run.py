"""Runs cases at venues, one cell after the other, each on an account of its own."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.acceptance.account import Account
from tests.acceptance.case import PAPER, Case
from tests.acceptance.paper_account import opened_on_paper
from tests.acceptance.venue_account import opened_at
from tests.venues.local import serving
from tests.venues.server import VenueServer
from tests.venues.six import SIX

VENUES = (PAPER, *SIX)
CELL_SECONDS = 30.0
"""A case that takes longer has failed."""


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of a case at a venue; `detail` is why, for all but a pass."""

    case: Case
    venue: str
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""


def line_to(venue: str) -> VenueServer | nullcontext[None]:
    """The server of a venue, for `with`; the paper exchange needs none."""
    return nullcontext() if venue == PAPER else serving(SIX[venue])


async def hold_case(case: Case, venue: str, server: VenueServer | None) -> None:
    """Run a case at a venue that can have it.

    Raises:
        Exception: whatever shows that the promise is not kept.
    """
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        async with asyncio.timeout(CELL_SECONDS):
            async with _account(case, venue, server, Path(folder)) as account:
                await case.run(account)


async def run_column(venue: str, cases: Iterable[Case], tell: Callable[[Cell], None]) -> None:
    """Run cases at one venue and tell each as it ends."""
    with line_to(venue) as server:
        for case in cases:
            tell(await _cell(case, venue, server))


async def run_table(venues: Sequence[str], cases: Sequence[Case], tell: Callable[[Cell], None]) -> None:
    """Run every case at every venue. Venues run beside each other: a client of ccxt's takes a quarter of a second to close."""
    if set(venues) != {PAPER}:
        import ccxt.pro  # noqa: F401 - now, and not within the first cell, whose time it would take

    async with asyncio.TaskGroup() as columns:
        for venue in venues:
            columns.create_task(run_column(venue, cases, tell))


async def _cell(case: Case, venue: str, server: VenueServer | None) -> Cell:
    if reason := case.without.get(venue):
        return Cell(case, venue, Outcome.NOT_APPLICABLE, detail=reason)
    begin = time.perf_counter()
    try:
        await hold_case(case, venue, server)
    except Exception as error:
        return Cell(case, venue, Outcome.FAIL, time.perf_counter() - begin, one_line(error))
    return Cell(case, venue, Outcome.PASS, time.perf_counter() - begin)


def _account(case: Case, venue: str, server: VenueServer | None, folder: Path) -> AbstractAsyncContextManager[Account]:
    return opened_on_paper(folder, case.fees) if server is None else opened_at(SIX[venue], server, folder, case.fees)


def one_line(error: BaseException) -> str:
    """What failed, and in which line of the cases."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        name = Path(trace.tb_frame.f_code.co_filename).name
        if name.startswith("cases_"):
            lines.append(f"{name}:{trace.tb_lineno}")
        trace = trace.tb_next
    where = f" ({lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"

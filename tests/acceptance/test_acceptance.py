"""Every cell of the table as a test; a case that a venue cannot have is skipped with its reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.all_cases import ALL
from tests.acceptance.case import Case
from tests.acceptance.run import VENUES, hold_case, line_to
from tests.venues.server import VenueServer

pytestmark = pytest.mark.acceptance
"""A minute; `make acceptance` runs them."""


@pytest.fixture(scope="module", params=VENUES)
def column(request: pytest.FixtureRequest) -> Iterator[tuple[str, VenueServer | None]]:
    venue: str = request.param
    with line_to(venue) as server:
        yield venue, server


@pytest.mark.parametrize("case", ALL, ids=lambda case: str(case.number))
async def test_case(case: Case, column: tuple[str, VenueServer | None]) -> None:
    venue, server = column
    if reason := case.without.get(venue):
        pytest.skip(reason)
    await hold_case(case, venue, server)

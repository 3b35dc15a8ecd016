"""The local OKX's pages hold what they should."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.venues.okx_requests import page


@given(st.lists(st.integers(1, 10**6), unique=True, max_size=40), st.integers(1, 7))
def test_pages_put_together_hold_every_row_once(numbers: list[int], size: int) -> None:
    rows = [(number, number, {"id": f"2{number:018d}"}) for number in numbers]
    found: list[object] = []
    asked = {"limit": str(size)}
    while told := page(asked, rows, "2"):
        found += [row["id"] for row in told]
        asked["after"] = str(told[-1]["id"])
    assert found == sorted((row["id"] for _, _, row in rows), reverse=True)

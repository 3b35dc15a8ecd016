"""The pretended endpoint's own parts: schema instances, token estimates and how deep calls went."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from tests.model_server import Body, ModelServer, RecordedRequest, Reply, faults, minimal, say


class Side(StrEnum):
    BUY = "buy"


class Level(BaseModel):
    price: Decimal = Field(gt=0)
    kind: Literal["support"]


class Everything(BaseModel):
    side: Side
    confidence: float = Field(gt=0, lt=1)
    loss: float = Field(le=-3)
    count: int = Field(ge=2)
    levels: list[Level] = Field(min_length=2)
    at: datetime
    reason: str = Field(min_length=3)
    symbol: str = Field(pattern=r"^[A-Z]+/[A-Z]+$")
    pair: tuple[int, str]
    note: str | None
    sure: bool


def test_the_minimal_instance_fits_its_schema() -> None:
    made = Everything.model_validate(minimal(Everything.model_json_schema()))
    assert made.symbol == "BTC/USDT"
    assert len(made.levels) == 2


def test_a_pattern_nothing_fits_asks_for_a_brain() -> None:
    with pytest.raises(ValueError, match="give the server a brain"):
        minimal({"type": "string", "pattern": "^qqq$"})


@given(st.integers(-50, 50), st.integers(1, 50), st.booleans(), st.booleans())
def test_bounded_numbers_fit(low: int, width: int, open_below: bool, open_above: bool) -> None:
    bounds: Any = {"gt" if open_below else "ge": low, "lt" if open_above else "le": low + width}
    bounded = create_model("Bounded", value=(float, Field(**bounds)))
    bounded.model_validate(minimal(bounded.model_json_schema()))


@pytest.mark.parametrize(
    ("spans", "depth"),
    [([], 0), ([(0, 1), (0, 1), (0.1, 1)], 1), ([(0, 1), (0, 2), (1, 2), (2, 3)], 3), ([(0, 5), (1, 2), (3, 4)], 2)],
)
def test_depth_is_the_longest_chain_of_waiting_calls(spans: list[tuple[float, float]], depth: int) -> None:
    server = ModelServer()
    server.requests += [RecordedRequest(n, {}, start, 1, 0, None, end) for n, (start, end) in enumerate(spans)]
    assert server.depth == depth


async def test_an_answer_that_is_late_is_not_made_by_the_next_tests_brain() -> None:
    with ModelServer() as server:
        server.misbehave([faults.hang(0.3)])
        async with httpx.AsyncClient(trust_env=False) as client:
            body, impatient = {"model": "any", "messages": list[str]()}, httpx.Timeout(30, read=0.1)
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{server.base_url}/chat/completions", json=body, timeout=impatient)
            asked: list[Body] = []

            def brain(body: Body) -> Reply:
                asked.append(body)
                return say("x")

            server.clear()
            server.brain = brain
            await asyncio.sleep(0.4)
            assert (asked, server.requests) == ([], [])
            await client.post(f"{server.base_url}/chat/completions", json=body, timeout=30)
        assert len(asked) == len(server.requests) == 1

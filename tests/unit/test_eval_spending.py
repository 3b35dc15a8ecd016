"""What a model may spend: a count that cannot be, a price that nobody knows, and a price that may be old."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agents.models.rules import RulesModel
from api.console.evals import show_estimate
from api.spending import budget_of, require_budget
from evals.estimate import Estimate, estimate
from evals.meter import Budget, Meter, Spent
from evals.model_faults import Front
from evals.paid_model import PaidModel, most_input
from evals.prices import FREE, LISTED, Price
from trading_core.domain.errors import ConfigurationError

PRICE = Price(Decimal(1), Decimal(10))
HOSTED = "https://api.openai.com/v1"


class Says(Front):
    """One answer, and what the endpoint says it cost."""

    message: AIMessage

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        return self.message


@pytest.mark.parametrize(
    ("content", "read", "wrote"), [("hold", 0, 0), ("hold", 900, 0), ("hold", 0, 5), ("hold", -900, 5), ("", 900, -1)]
)
async def test_a_count_that_cannot_be_is_paid_for_at_the_most(content: str, read: int, wrote: int) -> None:
    """Else an endpoint that counts nothing would let a budget of any size be passed."""
    usage: Any = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
    question: list[BaseMessage] = [HumanMessage("What now?")]
    most = PRICE.of(most_input(question, {}), 50)
    meter = Meter(PRICE, Budget(most))
    says = Says(inner=RulesModel(), message=AIMessage(content, usage_metadata=usage))
    model = PaidModel(inner=says, meter=meter, most_output=50)
    assert (await model.ainvoke(question)).content == content
    assert meter.spent.dollars == most


def left(price: Price | None, calls: int = 4) -> Estimate:
    return estimate({"a": Spent(calls, 4000, 100)}, {"a": 1} if calls else {}, price, 200)


@pytest.mark.parametrize(
    ("endpoint", "price"),
    [(HOSTED, None), ("https://models.example/v1", None), (HOSTED, PRICE), ("http://127.0.0.1:1/v1", PRICE)],
)
def test_what_may_cost_something_needs_a_bound(endpoint: str, price: Price | None) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was asked"):
        require_budget("openai:m", endpoint, price, Budget(), left(price))
    for budget in (budget_of("0", None), budget_of(None, 0)):
        require_budget("openai:m", endpoint, price, budget, left(price))
    require_budget("openai:m", endpoint, price, Budget(), left(price, calls=0))


@pytest.mark.parametrize(
    ("endpoint", "price"),
    [("http://127.0.0.1:1/v1", None), ("http://localhost/v1", None), ("http://192.168.1.4:8000/v1", None), (HOSTED, FREE)],
)
def test_a_model_of_ones_own_needs_none(endpoint: str, price: Price | None) -> None:
    require_budget("openai:m", endpoint, price, Budget(), left(price))


def test_the_estimate_says_at_what_price_and_of_when(capsys: pytest.CaptureFixture[str]) -> None:
    show_estimate(left(PRICE), listed=True)
    told = " ".join(capsys.readouterr().err.split())
    assert "About 4 calls for 1 repeat:" in told
    assert f"Counted at $1 in and $10 out a million tokens, as listed in {LISTED}: --prices FILE gives today's." in told
    show_estimate(left(PRICE), listed=False)
    assert LISTED not in capsys.readouterr().err
    table = (resources.files("agents.models") / "prices.toml").read_text(encoding="utf-8")
    assert f"as the provider listed them in {LISTED}" in " ".join(table.replace("#", "").split())

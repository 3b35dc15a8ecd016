"""What an account holds, what it is worth, and how it has done."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import Derived, Ratio, shown_as
from api.services.marks import PricedBy

_POSITION: dict[str, object] = {
    "symbol": "BTC/USDT",
    "quantity": "0.25",
    "average_cost": "61200.5",
    "price": "63010.1",
    "value": "15752.525",
    "weight": "0.15621",
    "unrealised": "452.4",
    "realised": "-12.75",
    "is_dust": False,
}
_PRICED: dict[str, object] = {"priced_at": "2026-03-02T12:00:05Z", "priced_by": "desk"}


class PositionOut(Answer):
    """A holding. What depends on a price is null while the price is not known."""

    model_config = shown_as(_POSITION)

    symbol: str
    quantity: Amount = Field(description="Base.")
    average_cost: Derived | None = Field(description="Quote per base, fees in quote included; null for a closed position.")
    price: Amount | None = Field(description="Last price, quote per base.")
    value: Derived | None = Field(description="Quote.")
    weight: Ratio | None = Field(description="Share of equity.")
    unrealised: Derived | None = Field(description="Profit that is open, quote.")
    realised: Derived = Field(description="Profit of what was sold, quote, fees in base or quote off.")
    is_dust: bool | None = Field(
        description="Too little to be sold by itself; null where no desk here knows the market's filters."
    )


class Priced(Answer):
    """How old prices are, and whose."""

    priced_at: Instant | None = Field(description="When the oldest of the prices was true; null where there is none.")
    priced_by: PricedBy | None = Field(
        description="`desk`: the market, now, by the desk in this process. `last run`: what the account's last cycle knew."
    )


class PositionsOut(Priced):
    """Every holding."""

    model_config = shown_as({**_PRICED, "positions": [_POSITION]})

    positions: list[PositionOut]


class PortfolioOut(Priced):
    """An account at a glance. Equity is null while a holding has no price: an unknown price is not zero."""

    model_config = shown_as(
        {
            **_PRICED,
            "account": "practice",
            "currency": "USDT",
            "equity": "100842.3",
            "cash": "85089.775",
            "exposure": "0.15621",
            "paid_in": "100000",
            "profit": "842.3",
            "realised": "389.9",
            "unrealised": "452.4",
            "balances": {"BTC": "0.25", "USDT": "85089.775"},
            "fees": {"USDT": "41.3"},
            "positions": [_POSITION],
        }
    )

    account: str
    currency: str
    equity: Derived | None
    cash: Amount
    exposure: Ratio | None = Field(description="Share of equity that is held in positions.")
    paid_in: Amount = Field(description="What profit is counted from: the deposit, and what was paid in or taken out since.")
    profit: Derived | None = Field(description="Equity less what was paid in.")
    realised: Derived
    unrealised: Derived | None
    balances: dict[str, Amount] = Field(description="Every asset's total by name; what works in open orders is not taken off.")
    fees: dict[str, Amount] = Field(description="Paid so far, by currency.")
    positions: list[PositionOut] = Field(description="What is held, by symbol.")


class EquityPoint(Answer):
    """The account after a run."""

    at: Instant
    run_id: str
    equity: Amount
    cash: Amount
    drawdown: Ratio = Field(description="The worst since the point before: fraction below the highest worth until then.")


class EquityOut(Answer):
    """The account's worth over time, thinned to the number of points that was asked for."""

    model_config = shown_as(
        {
            "account": "practice",
            "currency": "USDT",
            "count": 2880,
            "drawdown": "0.0182",
            "points": [
                {
                    "at": "2026-03-02T12:00:00Z",
                    "run_id": "3f2c9d7a51-20260302T120000Z",
                    "equity": "100842.3",
                    "cash": "85089.775",
                    "drawdown": "0.0011",
                }
            ],
        }
    )

    account: str
    currency: str
    count: int = Field(
        description="Of worths on record in the time; the points are some of them, the first and the last included."
    )
    drawdown: Ratio = Field(description="Largest fall from a peak within the time. Thinning loses no trough.")
    points: list[EquityPoint] = Field(description="Oldest first.")


class TradesOut(Answer):
    """Closed trades: one for each sale order, its profit over the average cost of what it sold."""

    closed: int
    won: int
    lost: int
    win_rate: Ratio | None = Field(description="Share that won; null before the first.")
    gained: Derived = Field(description="Sum of the profits, quote.")
    given: Derived = Field(description="Sum of the losses, quote, above zero.")
    best: Derived | None
    worst: Derived | None


class PerformanceOut(Priced):
    """How the account has done since it was opened."""

    model_config = shown_as(
        {
            **_PRICED,
            "account": "practice",
            "currency": "USDT",
            "since": "2026-03-02T08:00:00Z",
            "paid_in": "100000",
            "equity": "100842.3",
            "profit": "842.3",
            "gain": "0.008423",
            "held_instead": "100310.8",
            "ahead_of_holding": "0.005315",
            "drawdown": "0.0182",
            "realised": "389.9",
            "unrealised": "452.4",
            "fees": {"USDT": "41.3"},
            "fills": 42,
            "turnover": "41233.9",
            "turnover_ratio": "0.412339",
            "trades": {
                "closed": 9,
                "won": 5,
                "lost": 4,
                "win_rate": "0.55555556",
                "gained": "702.4",
                "given": "312.5",
                "best": "301.2",
                "worst": "-140.1",
            },
        }
    )

    account: str
    currency: str
    since: Instant = Field(description="When the account was opened.")
    paid_in: Amount
    equity: Derived | None
    profit: Derived | None
    gain: Ratio | None = Field(description="Profit as a fraction of what was paid in.")
    held_instead: Derived | None = Field(
        description="What was paid in, split evenly over the session's symbols and bought at the first cycle's prices, fees "
        "paid, would be worth now; null where no desk here knows the market's prices and fees."
    )
    ahead_of_holding: Ratio | None = Field(
        description="By how much the account is ahead of that, as a fraction of what was paid in."
    )
    drawdown: Ratio = Field(description="Largest fall from a peak between runs.")
    realised: Derived
    unrealised: Derived | None
    fees: dict[str, Amount]
    fills: int
    turnover: Derived = Field(description="Quote bought and sold.")
    turnover_ratio: Ratio | None = Field(description="Turnover as a multiple of what was paid in.")
    trades: TradesOut

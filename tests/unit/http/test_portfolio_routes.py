"""What an account holds and how it has done, held against the ledger and against the session's own report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from graph.report import report
from tests.unit.http.trading_cases import ACCOUNT, CYCLES, HERE, SYMBOLS, Trading, number, trading
from trading_core.domain.clock import iso
from trading_core.domain.orders import OrderState, Side
from trading_core.domain.portfolio import Portfolio

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trading]:
    async with trading(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


async def test_an_account_says_what_it_is_and_who_runs_it(desk: Trading) -> None:
    answer = (await desk.doors.ask("GET", "/api/v1/accounts", "viewer")).json()
    (account,) = answer["items"]
    assert account["id"] == ACCOUNT
    assert (account["venue"], account["currency"], account["deposit"]) == ("paper", "USDT", "100000")
    assert account["desk_here"]
    assert account["generated_prices"], "a generated market is named as one"
    assert account == await desk.get("")
    async with desk.elsewhere():
        assert not (await desk.get(""))["desk_here"]


async def test_the_portfolio_is_the_ledgers_at_the_desks_prices(desk: Trading) -> None:
    told, shown = await report(desk.system), await desk.get("/portfolio")
    assert shown["priced_by"] == "desk"
    assert number(shown["equity"]) == told.equity.quantize(Decimal("1e-12"))
    assert number(shown["cash"]) == told.cash
    assert {asset: number(paid) for asset, paid in shown["fees"].items()} == dict(told.fees)
    assert [one["symbol"] for one in shown["positions"]] == [holding.symbol for holding in told.holdings]
    assert shown["positions"], "the session holds something, else this test shows nothing"
    for one, holding in zip(shown["positions"], told.holdings, strict=True):
        assert number(one["quantity"]) == holding.quantity
        assert number(one["price"]) == holding.price
        assert abs(number(one["unrealised"]) - holding.unrealised) < Decimal("1e-11")
        assert one["is_dust"] == holding.is_dust
    weights = sum(number(one["weight"]) for one in shown["positions"])
    assert abs(weights - number(shown["exposure"])) < Decimal("1e-7")
    assert abs(number(shown["cash"]) / number(shown["equity"]) + weights - 1) < Decimal("1e-7")


async def test_without_the_desk_the_last_runs_prices_are_taken_and_it_says_so(desk: Trading) -> None:
    here = await desk.get("/portfolio")
    async with desk.elsewhere():
        there = await desk.get("/portfolio")
    async with desk.system.database.reading() as uow:
        worth = await uow.portfolios.last_worth(ACCOUNT)
    assert worth is not None
    assert (there["priced_by"], there["priced_at"]) == ("last run", iso(worth.at))
    assert {one["symbol"]: one["price"] for one in there["positions"]} == {
        symbol: held["price"] for symbol, held in worth.content["positions"].items()
    }
    assert there["balances"] == here["balances"], "what is held does not depend on who is asked"
    assert there["positions"][0]["is_dust"] is None, "the market's filters are not known here"


async def test_what_was_bought_after_the_last_run_is_priced_by_its_snapshot(desk: Trading) -> None:
    async with desk.system.database.transaction() as uow:
        worth = await uow.portfolios.last_worth(ACCOUNT)
        assert worth is not None
        await uow.portfolios.record(replace(worth, content={"positions": {}}))
    async with desk.elsewhere():
        shown = await desk.get("/portfolio")
    async with desk.system.database.transaction() as uow:
        await uow.portfolios.record(worth)
    assert shown["priced_by"] == "last run"
    assert shown["equity"] is not None


async def test_positions_list_closed_ones_only_when_asked(desk: Trading) -> None:
    held, every = await desk.get("/positions"), await desk.get("/positions", closed=True)
    assert {one["symbol"] for one in held["positions"]} <= {one["symbol"] for one in every["positions"]} <= set(SYMBOLS)
    assert all(number(one["quantity"]) > 0 for one in held["positions"])


async def test_the_curve_is_thinned_and_loses_neither_end_nor_trough(desk: Trading) -> None:
    async with desk.system.database.reading() as uow:
        kept = await uow.portfolios.curve(ACCOUNT)
    whole = await desk.get("/equity")
    assert whole["count"] == len(kept) == CYCLES
    assert [(one["at"], number(one["equity"])) for one in whole["points"]] == [(iso(one.at), one.equity) for one in kept]
    told = await report(desk.system)
    assert abs(number(whole["drawdown"]) - told.drawdown) < Decimal("1e-8")
    for points in (2, 3, 5, 11, 12):
        thin = await desk.get("/equity", points=points)
        assert 2 <= len(thin["points"]) <= points
        assert (thin["points"][0]["at"], thin["points"][-1]["at"]) == (iso(kept[0].at), iso(kept[-1].at))
        assert thin["drawdown"] == whole["drawdown"]
        assert max(number(one["drawdown"]) for one in thin["points"]) == number(whole["drawdown"])


async def test_a_part_of_the_curve(desk: Trading) -> None:
    whole = await desk.get("/equity")
    since, until = whole["points"][3]["at"], whole["points"][6]["at"]
    part = await desk.get("/equity", since=since, until=until)
    assert [one["at"] for one in part["points"]] == [one["at"] for one in whole["points"][3:7]]
    nothing = await desk.get("/equity", since="2030-01-01T00:00:00Z")
    assert (nothing["count"], nothing["points"], nothing["drawdown"]) == (0, [], "0")


async def test_performance_is_the_reports_and_its_trades_add_up(desk: Trading) -> None:
    told, shown = await report(desk.system), await desk.get("/performance")
    assert number(shown["equity"]) == told.equity.quantize(Decimal("1e-12"))
    assert abs(number(shown["held_instead"]) - told.held_instead) < Decimal("1e-9")
    assert number(shown["gain"]) == (told.profit / told.deposit).quantize(Decimal("1e-8"))
    assert shown["fills"] == told.fills > 0
    trades = shown["trades"]
    assert number(trades["gained"]) - number(trades["given"]) == number(shown["realised"])
    async with desk.system.database.reading() as uow:
        fills = await uow.fills.of_account(ACCOUNT)
    assert number(shown["turnover"]) == sum(fill.notional for fill in fills).quantize(Decimal("1e-12"))
    async with desk.elsewhere():
        there = await desk.get("/performance")
    assert there["held_instead"] is None, "what it would be worth now, only a market knows"
    assert there["trades"] == trades


@pytest.mark.parametrize("query", ["points=1", "points=2001", "since=yesterday", "since=2025-03-03T00:00:00", "pints=5"])
async def test_a_query_that_cannot_be_meant_is_refused(desk: Trading, query: str) -> None:
    answer = await desk.doors.ask("GET", f"{HERE}/equity?{query}", "trader")
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_somebody_elses_account_and_none_look_the_same(desk: Trading) -> None:
    async with desk.system.database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened("theirs", "USDT", Decimal(5)), "paper", desk.system.clock.now())
    answers = [await desk.doors.ask("GET", f"/api/v1/accounts/{name}/portfolio", "trader") for name in ("theirs", "nobodys")]
    assert [answer.status_code for answer in answers] == [404, 404]
    first, second = ({**a.json(), "instance": "", "detail": a.json()["detail"].replace("nobodys", "theirs")} for a in answers)
    assert first == second


async def test_a_trade_that_was_stopped_out_is_a_loss(tmp_path: Path) -> None:
    async with trading(tmp_path, seed=9, timeframe="4h") as other:
        shown, risk = await other.get("/performance"), await other.get("/risk")
        closed = [order for order in await other.orders() if order.side is Side.SELL and order.state is OrderState.FILLED]
    trades = shown["trades"]
    assert (trades["closed"], trades["won"], trades["lost"], trades["win_rate"]) == (len(closed), 0, 1, "0")
    assert risk["consecutive_losses"] == 1, "the core counts it as the same"
    assert trades["worst"] == trades["best"] == shown["realised"]
    assert number(shown["realised"]) == -number(trades["given"]) < 0


_EDGES = (
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1969-07-20T20:17:40Z",
    "\x00",
    "😀",
    "9" * 40,
    "1e999",
    "NaN",
)


@pytest.mark.parametrize("value", _EDGES)
async def test_no_value_makes_the_server_fail(desk: Trading, value: str) -> None:
    asked = {
        "/equity": ("since", "until", "points"),
        "/market/bars": ("as_of", "timeframe", "limit"),
        "/market/indicators": ("as_of",),
        "/market/instruments": ("symbol", "cursor"),
        "/orders": ("symbol", "run", "cursor", "live"),
        "/fills": ("symbol", "cursor"),
        "/intents": ("symbol", "cursor"),
        "/channels": ("symbol",),
    }
    for path, names in asked.items():
        for name in names:
            symbol = {"symbol": "BTC/USDT"} if path in ("/market/bars", "/market/indicators") else {}
            answer = await desk.doors.ask("GET", HERE + path, "trader", params={**symbol, name: value})
            assert answer.status_code in (200, 422), f"{path} {name}: {answer.text}"

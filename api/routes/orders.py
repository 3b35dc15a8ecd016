"""Orders and fills of an account: read from the record, asked for and taken back through runs of its desk."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import IdempotencyKey, OnAccount, State, on_account
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.http.shared_route import SharedRoute
from api.schemas.orders import AskedOut, FillOut, OrderDetailOut, OrderOut
from api.services.cursors import place, time_and_id
from api.services.desks import Worker, worker_of
from api.services.order_views import fill_out, order_detail, order_out
from api.state import ApiState
from graph.runs.ids import run_id_of
from graph.runs.orders import OrderTicket
from trading_core.auth.permissions import Action
from trading_core.domain.errors import InvalidInput, LedgerError
from trading_core.domain.orders import Order, Purpose
from trading_core.persistence.records import RunKind, RunRecord

router = APIRouter(prefix="/accounts/{account}", tags=["orders"], route_class=SharedRoute)

Reader = Annotated[OnAccount, on_account(Action.READ_ORDERS)]
Trader = Annotated[OnAccount, on_account(Action.SUBMIT)]
Symbol = Annotated[str | None, Query(max_length=41, description="Only of this symbol.", examples=["BTC/USDT"])]
OrderId = Annotated[str, Path(min_length=1, max_length=64, description="The desk's own id of the order.")]


@router.get("/orders", summary="List an account's orders")
async def list_orders(
    state: State,
    on: Reader,
    page: PageQuery,
    live: Annotated[bool, Query(description="Only those that may still trade.")] = False,
    symbol: Symbol = None,
    run: Annotated[str | None, Query(max_length=100, description="Only of this run.")] = None,
) -> Page[OrderOut]:
    """Newest first, as the ledger has them."""
    async with state.database.reading() as uow:
        found = await uow.pages.orders(
            on.account_id, limit=page.wanted, before=time_and_id(page), live=live, symbol=symbol, run_id=run
        )
        fills = await uow.pages.fills_of_orders([order.client_order_id for order in found])
    return page.page(
        found,
        lambda order: (place(order.created_at), order.client_order_id),
        lambda order: order_out(order, fills.get(order.client_order_id, ())),
    )


@router.get("/orders/{order}", summary="Read one order with all that happened to it")
async def get_order(state: State, on: Reader, order: OrderId) -> OrderDetailOut:
    """The order, each of its steps, its fills, and how well it was worked."""
    found = await _known(state, on, order)
    async with state.database.reading() as uow:
        return order_detail(found, await uow.orders.events(order), await uow.fills.of_order(order))


@router.post("/orders", summary="Ask for an order", status_code=202)
async def place_order(state: State, on: Trader, ticket: OrderTicket, key: IdempotencyKey = None) -> AskedOut:
    """Queue an order for the account's desk. Beside submitting, the caller needs the right to propose it: entries for a buy,
    exits for a sale.

    The gate judges it like any other, and may ask for an approval. With the same idempotency key it is one order however often
    it is sent. Where no desk runs the account it waits until one is started; its price is that of then, so look before you leave
    one waiting.
    """
    run_id = _run_id(on, key)
    record = await state.runs.request_order(on.who, on.account_id, ticket, run_id=run_id)
    return await _asked(state, record)


@router.post("/orders/{order}/cancel", summary="Take an order back", status_code=202)
async def cancel_order(state: State, on: Trader, order: OrderId, key: IdempotencyKey = None) -> AskedOut:
    """Have the account's desk take a live order back. A fill may win the race: the run's events tell what became of it.

    A protective stop is the core's and is not taken back alone: sell the holding, or use the kill switch with `stops_too`.
    """
    found = await _known(state, on, order)
    if found.purpose is Purpose.STOP:
        raise InvalidInput(
            f"order {order!r} is the protective stop of a holding",
            not_done="It was not taken back",
            next_step="Sell the holding, or use the kill switch with `stops_too`",
        )
    if not found.is_live:
        raise LedgerError(f"order {order!r} is {found.state.value} already", not_done="There is nothing to take back")
    record = await state.runs.request_cancel_order(on.who, on.account_id, order, run_id=_run_id(on, key))
    return await _asked(state, record)


@router.get("/fills", summary="List an account's fills")
async def list_fills(state: State, on: Reader, page: PageQuery, symbol: Symbol = None) -> Page[FillOut]:
    """The last that were booked first."""
    async with state.database.reading() as uow:
        found = await uow.pages.fills(on.account_id, limit=page.wanted, before=page.after_number(), symbol=symbol)
    return page.page(found, lambda row: (row[0],), lambda row: fill_out(row[1]))


async def _known(state: ApiState, on: OnAccount, order_id: str) -> Order:
    async with state.database.reading() as uow:
        found = await uow.orders.get(order_id)
    if found is None or found.account_id != on.account_id:
        raise NotFound(
            f"account {on.account_id!r} has no order {order_id!r}", not_done="Nothing was done", next_step="List its orders"
        )
    return found


def _run_id(on: OnAccount, key: str | None) -> str:
    return f"order-{secrets.token_hex(12)}" if key is None else run_id_of(RunKind.ORDER, on.who.name, key)


async def _asked(state: ApiState, record: RunRecord) -> AskedOut:
    worker = await worker_of(state, record.account_id)
    note = "No desk runs this account now: the run waits until one is started." if worker is Worker.NOBODY else ""
    return AskedOut(
        run_id=record.id, account=record.account_id, kind=record.kind, state=record.state, worked_on_by=worker, note=note
    )

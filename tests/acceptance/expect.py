"""What several cases expect in the same words."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from tests.acceptance.account import Account
from trading_core.domain.errors import BrokerError, OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState

ENDED = frozenset({OrderState.CANCELLED, OrderState.EXPIRED})
"""How the rest of an order ends that may not rest: venues use both words for it."""
_Error = TypeVar("_Error", bound=BrokerError)


async def raises(kind: type[_Error], call: Coroutine[object, object, object]) -> _Error:
    """The error of the port that a call ends in."""
    try:
        answer = await call
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, and it answered {answer!r}")


async def refused(account: Account, request: OrderRequest) -> OrderRefused:
    """The venue or the adapter says no, and nothing is left of the order."""
    before = await account.broker.balances()
    error = await raises(OrderRefused, account.broker.place(request))
    await account.settle()
    found = await account.broker.order(request.client_order_id, account.symbol)
    assert found is None or (found.state is OrderState.REFUSED and not found.filled), f"refused, and there it is: {found}"
    assert await account.broker.balances() == before
    return error

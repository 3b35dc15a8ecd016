"""From ccxt's dictionaries to the desk's words. Numbers arrive as text and become `Decimal`; a float is refused.

Whatever cannot be read raises (`InvalidInput`, `KeyError` and their like), and the broker says what that means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from trading_core.brokers.base import Balance, OrderReport
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.ccxt_client import markets
from trading_core.domain.clock import from_ms
from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ZERO, Money, decimal
from trading_core.domain.orders import Fill, OrderState, Side

_STATES = {
    "open": OrderState.OPEN,
    "canceling": OrderState.OPEN,
    "closed": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REFUSED,
    # Words ccxt hands on as they are: Coinbase's, and Crypto.com's for an order it has not yet looked at.
    "pending": OrderState.OPEN,
    "queued": OrderState.OPEN,
    "new": OrderState.OPEN,
    "cancel_queued": OrderState.OPEN,
    "edit_queued": OrderState.OPEN,
}
_CANCELLED_BY = {"13": OrderState.EXPIRED, "14": OrderState.EXPIRED, "31": OrderState.REFUSED}
"""OKX's `cancelSource`: what a fill-or-kill or immediate order did not get, and a post-only order that would have taken."""
_SHARPER = {"EXPIRED": OrderState.EXPIRED, "FAILED": OrderState.REFUSED}  # Coinbase's, which ccxt calls canceled


def number(value: object, name: str = "number") -> Decimal | None:
    """An exact number; None and empty text stay None.

    Raises:
        InvalidInput: a float, or no finite number.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | Decimal):
        raise InvalidInput(f"{name} came as {type(value).__name__} {value!r}, which is not exact")
    return decimal(value, name=name)


def client_id_of(row: Mapping[str, object]) -> str:
    """The client order id of an order or trade; empty when the venue tells none."""
    info = row.get("info")
    raw: Mapping[str, object] = info if isinstance(info, Mapping) else {}
    # Trades carry it raw only: Bybit, OKX, Crypto.com. OKX gives what a stop sent its own name, `algoClOrdId`.
    names = ("clOrdId", "orderLinkId", "client_oid", "cl_ord_id", "client_order_id", "algoClOrdId")
    found = [row.get("clientOrderId"), *(raw.get(name) for name in names)]
    return next((str(value) for value in found if value), "")


def report_of(
    row: Mapping[str, object], *, client_order_id: str, symbol: str, now: datetime, just_taken: bool = False
) -> OrderReport:
    """An order as the venue sees it. `symbol` and `now` stand in for what a short answer leaves out.

    Args:
        just_taken: the row is the answer to a place: it often tells nothing but the id, and the order is open.

    Raises:
        InvalidInput: it has no id or a state that is not known.
    """
    venue_order_id = row.get("id")
    if not venue_order_id:
        raise InvalidInput(f"the answer about order {client_order_id!r} has no order id")
    filled = number(row.get("filled"), "filled") or ZERO
    stamps = (number(row.get(name)) for name in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp"))
    stamp = next((at for at in stamps if at), None)
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=str(venue_order_id),
        symbol=str(row.get("symbol") or symbol),
        state=_state(row, filled, just_taken=just_taken),
        filled=filled,
        updated_at=from_ms(int(stamp)) if stamp else now,
        reason=_reason(row),
    )


def fill_of(row: Mapping[str, object], *, client_order_id: str) -> Fill:
    """An execution.

    Binance, OKX and Coinbase count trades market by market, and a trade with oneself has one id on both sides: the desk's
    trade id is the market, the venue's id and the side.

    Raises:
        InvalidInput: a part is missing or no number.
    """
    symbol, side = str(row["symbol"]), Side(str(row["side"]))
    quantity, price = number(row["amount"], "amount"), number(row["price"], "price")
    at = number(row["timestamp"], "timestamp")
    if not row.get("id") or not quantity or not price or not at or quantity < 0 or price < 0:
        raise InvalidInput(f"a trade of {symbol} lacks its id, quantity, price or time: {row.get('info')!r}")
    return Fill(
        trade_id=f"{symbol}:{row['id']}:{side}",
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        quantity=quantity,
        price=price,
        fee=_fee(row, symbol),
        at=from_ms(int(at)),
        is_maker=row.get("takerOrMaker") == "maker",
    )


def balances_of(answer: Mapping[str, object]) -> dict[str, Balance]:
    """Every asset with a balance."""
    totals = answer.get("total")
    found: dict[str, Balance] = {}
    for asset in sorted(totals if isinstance(totals, Mapping) else ()):
        entry = answer[asset]
        if not isinstance(entry, Mapping):
            raise InvalidInput(f"the balance of {asset} is {entry!r}")
        total, free = number(entry.get("total"), f"total {asset}"), number(entry.get("free"), f"free {asset}")
        if total is None:
            raise InvalidInput(f"the balance of {asset} has no total")
        if total:
            held = number(entry.get("used"), f"used {asset}") or ZERO
            free = total - held if free is None else free
            found[asset] = Balance(asset, free, total - free)
    return found


def instrument_of(profile: VenueProfile, market: Mapping[str, object], precision_mode: int) -> Instrument:
    """The filters of a market.

    Raises:
        InvalidInput: it lacks the tick or lot size, or a number in it cannot be read.
    """
    return markets.instrument_of(market, precision_mode, fee_currency=profile.fee_currency, read=number)


def _state(row: Mapping[str, object], filled: Decimal, *, just_taken: bool) -> OrderState:
    """The state, sharpened by what was filled: ccxt calls an order closed that was cancelled when partly filled."""
    info = row.get("info")
    raw: Mapping[str, object] = info if isinstance(info, Mapping) else {}
    word = row.get("status")
    sharper = _SHARPER.get(str(raw.get("status", ""))) or _CANCELLED_BY.get(str(raw.get("cancelSource", "")))
    state = sharper or (OrderState.OPEN if word is None and just_taken else _STATES.get(str(word).lower()))
    if state is None:
        raise InvalidInput(f"an order in the state {word!r}, which is not known")
    amount = number(row.get("amount"), "amount")
    if state is OrderState.OPEN and filled > 0:
        return OrderState.PARTIALLY_FILLED
    if state is OrderState.FILLED and filled == 0:
        raise InvalidInput(f"an order that is {word!r} with nothing filled: it has not ended so far as this tells")
    if state is OrderState.FILLED and amount is not None and filled < amount:
        return OrderState.CANCELLED
    if state is OrderState.REFUSED and filled > 0:
        return OrderState.CANCELLED
    return state


def _reason(row: Mapping[str, object]) -> str:
    """Why the venue ended an order, in its own words where it has any."""
    info = row.get("info")
    raw: Mapping[str, object] = info if isinstance(info, Mapping) else {}
    names = ("rejectReason", "reject_message", "cancel_message", "cancelSourceReason", "reason")
    said: Iterable[object] = (raw.get(name) for name in names)
    return next((str(words) for words in said if words and words != "EC_NoError"), "")


def _fee(row: Mapping[str, object], symbol: str) -> Money:
    """The fee in its own currency; a rebate is below zero. A trade without one cost nothing."""
    listed = row.get("fees")
    fees = [fee for fee in listed if isinstance(fee, Mapping)] if isinstance(listed, list) else []
    single = row.get("fee")
    if not fees and isinstance(single, Mapping):
        fees = [single]
    info = row.get("info")
    # Bybit names the coin; ccxt works it out from the side instead, which is wrong where fees are paid in another.
    named = info.get("feeCurrency") if isinstance(info, Mapping) else None
    amounts = [(number(fee.get("cost"), "fee"), named or fee.get("currency")) for fee in fees]
    told = [(amount, str(asset)) for amount, asset in amounts if amount and asset]
    if any(amount and not asset for amount, asset in amounts) or len({asset for _, asset in told}) > 1:
        raise InvalidInput(f"a trade of {symbol} has a fee that cannot be booked: {fees!r}")
    if not told:
        return Money(ZERO, symbol.partition("/")[2])
    return Money(sum((amount for amount, _ in told), ZERO), told[0][1])

"""Crypto.com Exchange v1 (spot), as it speaks REST, over the matching engine: enough of it for ccxt to trade.

    exchange = Exchange([Market("BTC", "USD", tick=Decimal("0.01"), lot=Decimal("0.00001"))], wall_clock_ms, fees=FEES)
    with VenueServer(CryptocomVenue(exchange, [Key("key", "secret", "desk")])) as server:
        client = ccxt.async_support.cryptocom({"apiKey": "key", "secret": "secret"})
        client.urls["api"]["v1"] = f"{server.base_url}/exchange/v1"

Signatures (HMAC-SHA256 over method, id, key, sorted parameters and nonce) and a clock within a minute are checked as the venue
does. A refusal has a code and a message, and comes with the status that the venue lists for the code: for an order it has judged
that is often 500. Placing and cancelling answer nothing but ids. Nothing of it was recorded at the venue: it follows the venue's
pages and the bodies that ccxt's authors noted. No page tells what a key may do, nor the venue's time.
Source: https://exchange-developer.crypto.com/exchange/v1/docs/api/rest-common-api-reference and the pages named in
`cryptocom_auth`, `cryptocom_orders` and `cryptocom_market`; streams are in `cryptocom_stream`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from tests.venues import cryptocom_market as public
from tests.venues import cryptocom_orders as orders
from tests.venues.cryptocom_auth import CODES, Asked, CryptocomError, Params, Row, authorised, refused, said
from tests.venues.cryptocom_stream import CryptocomStreams
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Fees, Market, Rejected, Status, VenueOrder
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, Key, Stream
from trading_core.brokers.venues.profiles import CRYPTOCOM

Item = TypeVar("Item", VenueOrder, Execution)
FEES = Fees(Decimal("0.0025"), Decimal("0.005"))
ROOT = "/exchange/v1/"
PAGE_ROWS, LONGEST_SPAN_MS = 100, 7 * 86_400_000
WRITES = frozenset({"place", "cancel", "cancel_all"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a private method does: its operation, and the work for an account. Advanced ones are about triggers."""

    operation: str
    work: Callable[[Asked, str], object]


class CryptocomVenue:
    """See the module.

    Attributes:
        renames_sent: whether an order that a trigger sends has a client id of the venue's making instead of the trigger's.
    """

    def __init__(self, exchange: Exchange, keys: Iterable[Key]) -> None:
        self.exchange = exchange
        self.renames_sent = False
        self.keys = {key.key: key for key in keys}
        self.skew_ms = 0
        self._triggered: set[int] = set()
        self._streams = CryptocomStreams(self)
        exchange.listen(self._heed)
        exchange.listen(self._streams.tell)
        exchange.watch(self._streams.tell_market)
        self._private = self._table(trigger=False) | self._table(trigger=True)
        self._private["private/get-trades"] = Endpoint("trades", self._trades)
        self._private["private/user-balance"] = Endpoint("balance", lambda _, account: self.balance(account))
        self._private["private/get-accounts"] = Endpoint("permissions", self._accounts)
        self._private["private/get-fee-rate"] = Endpoint("fees", self._fee_rate)
        self._public: dict[str, tuple[str, Callable[[Mapping[str, str]], object]]] = {
            "public/get-instruments": ("markets", self._instruments),
            "public/get-tickers": ("ticker", self._tickers),
            "public/get-book": ("book", self._book),
            "public/get-trades": ("tape", self._tape),
            "public/get-candlestick": ("candles", self._candles),
        }

    def _table(self, *, trigger: bool) -> dict[str, Endpoint]:
        """The methods about orders, of which triggers have their own."""
        root = "private/advanced/" if trigger else "private/"
        work: dict[str, tuple[str, Callable[[Asked, str, bool], object]]] = {
            "create-order": ("place", self._place),
            "cancel-order": ("cancel", self._cancel),
            "cancel-all-orders": ("cancel_all", self._cancel_all),
            "get-order-detail": ("order", self._detail),
            "get-open-orders": ("open_orders", self._open),
            "get-order-history": ("orders", self._history),
        }

        def bound(do: Callable[[Asked, str, bool], object]) -> Callable[[Asked, str], object]:
            return lambda asked, account: do(asked, account, trigger)

        return {root + name: Endpoint(operation, bound(do)) for name, (operation, do) in work.items()}

    # The frame's side

    def operation(self, call: Call) -> str:
        method = call.path.removeprefix(ROOT)
        if method in self._private:
            return self._private[method].operation
        return self._public[method][0] if method in self._public else "unknown"

    def answer(self, call: Call) -> Answer:
        method = call.path.removeprefix(ROOT)
        asked = Asked("", method, {}, "", "", "")
        try:
            if method in self._public:
                return Answer(said("", method, self._public[method][1](call.params)))
            asked = _read(call)
            return Answer(said(asked.id, method, self._work(method, asked)))
        except (CryptocomError, Rejected) as problem:
            error = problem if isinstance(problem, CryptocomError) else CryptocomError(orders.REJECTIONS[problem.why])
            return Answer(refused(asked.id, method, error, call.body), error.status)

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        """A ban is told as too many requests: the venue's pages know no other word for it."""
        codes = {
            Trouble.RATE_LIMIT: 42901,
            Trouble.BAN: 42901,
            Trouble.SERVER_ERROR: 50001,
            Trouble.MAINTENANCE: 9010001,
            Trouble.NO_PERMISSION: 40101,
            Trouble.BAD_KEY: 40101,
        }
        code = codes[trouble]
        status = fault.status if trouble is Trouble.SERVER_ERROR else CODES[code][0]
        return Answer(refused("", "", CryptocomError(code)), status)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        match answer.body:
            case {"result": {"data": list(rows), **others}, **rest}:
                turned = rows[::-1] if listing is Listing.REORDERED else [row for row in rows for _ in range(2)]
                return replace(answer, body=rest | {"result": others | {"data": turned}})
        return answer

    def now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    def _work(self, method: str, asked: Asked) -> object:
        endpoint = self._private.get(method)
        if endpoint is None or asked.method != method:
            raise CryptocomError(40002)
        key = authorised(asked, self.keys, self.now())
        if endpoint.operation in WRITES and not key.can_trade:
            raise CryptocomError(40101)
        return endpoint.work(asked, key.account)

    # Streams

    def connected(self, stream: Stream) -> None:
        self._streams.connected(stream)

    def heard(self, stream: Stream, message: object) -> None:
        self._streams.heard(stream, message)

    def gone(self, stream: Stream) -> None:
        self._streams.gone(stream)

    def heartbeat(self) -> None:
        """What the venue does every thirty seconds: ask every client for a sign of life, and part from those that gave none."""
        with self.exchange.lock:
            self._streams.heartbeat()

    # Orders

    def _heed(self, change: VenueOrder | Execution) -> None:
        """Remember which triggers have sent their order."""
        if isinstance(change, VenueOrder) and change.ticket.kind.has_stop and not change.waiting and change.status is Status.OPEN:
            self._triggered.add(change.number)

    def _place(self, asked: Asked, account: str, trigger: bool) -> object:
        market = self.market(asked.params)
        order = self.exchange.place(orders.ticket(asked.params, account, market, asked.nonce, trigger=trigger))
        ids: Row = {"order_id": self._id(order, trigger), "client_oid": order.ticket.client_id}
        if order.status is Status.EXPIRED and not order.filled and order.ticket.kind.has_limit:
            raise CryptocomError(43003 if order.ticket.lifetime == "fok" else 43004, ids)
        return ids

    def _cancel(self, asked: Asked, account: str, trigger: bool) -> object:
        order = self._found(asked.params, account, trigger)
        if order is None:
            raise CryptocomError(212)
        if trigger and not order.waiting:
            raise CryptocomError(316)
        self.exchange.cancel(account, order.ticket.symbol, order.number)
        return {"order_id": self._id(order, trigger), "client_oid": order.ticket.client_id}

    def _cancel_all(self, asked: Asked, account: str, trigger: bool) -> None:
        for order in self._listed(asked.params, account, trigger):
            if order.status is Status.OPEN and (order.waiting or not trigger):
                self.exchange.cancel(account, order.ticket.symbol, order.number)

    def _detail(self, asked: Asked, account: str, trigger: bool) -> object:
        order = self._found(asked.params, account, trigger)
        if order is None:
            raise CryptocomError(40401)
        return self._row(order, trigger)

    def _open(self, asked: Asked, account: str, trigger: bool) -> object:
        found = self._listed(asked.params, account, trigger)
        live = [order for order in found if order.status is Status.OPEN and (order.waiting or not trigger)]
        return {"data": [self._row(order, trigger) for order in live]}

    def _history(self, asked: Asked, account: str, trigger: bool) -> object:
        found = [order for order in self._listed(asked.params, account, trigger) if order.status is not Status.OPEN]
        return {"data": [self._row(order, trigger) for order in self._page(asked.params, found, lambda order: order.created_ms)]}

    def _trades(self, asked: Asked, account: str) -> object:
        found = [done for done in self.exchange.executions[account] if self._asked_for(asked.params, done.order)]
        page = self._page(asked.params, found, lambda done: done.at_ms)
        return {"data": [self.trade_row(done) for done in page]}

    def _found(self, params: Params, account: str, trigger: bool) -> VenueOrder | None:
        """The order under `order_id`, or else under `client_oid`."""
        if not params.get("order_id") and not params.get("client_oid"):
            raise CryptocomError(40004)
        number = orders.number_of(str(params.get("order_id", "")), trigger=trigger)
        for order in self._listed({}, account, trigger):
            named = order.number == number if params.get("order_id") else self._client_id(order, trigger) == params["client_oid"]
            if named:
                return order
        return None

    def _listed(self, params: Params, account: str, trigger: bool) -> list[VenueOrder]:
        """Triggers, or plain orders and what triggers have sent; oldest first."""
        return [
            order
            for order in self.exchange.orders_of(account)
            if (order.ticket.kind.has_stop if trigger else not order.ticket.kind.has_stop or order.number in self._triggered)
            and self._asked_for(params, order)
        ]

    def _asked_for(self, params: Params, order: VenueOrder) -> bool:
        return "instrument_name" not in params or self.market(params).symbol == order.ticket.symbol

    def _page(self, params: Params, found: list[Item], at: Callable[[Item], int]) -> list[Item]:
        """The youngest hundred between `start_time` and `end_time`, which itself is left out; youngest first."""
        end = int(str(params.get("end_time", self.now() + 1)))
        start = int(str(params.get("start_time", end - 86_400_000)))
        limit = int(str(params.get("limit", PAGE_ROWS)))
        if end - start > LONGEST_SPAN_MS or start > end:
            raise CryptocomError(40005)
        if not 0 < limit <= PAGE_ROWS:
            raise CryptocomError(40004)
        return [item for item in reversed(found) if start <= at(item) < end][:limit]

    def _id(self, order: VenueOrder, trigger: bool) -> str:
        return orders.trigger_id(order.number) if trigger else orders.order_id(order.number)

    def _row(self, order: VenueOrder, trigger: bool) -> Row:
        done = [execution for execution in self.exchange.executions[order.ticket.account] if execution.order is order]
        show = orders.trigger_row if trigger else orders.order_row
        row = show(order, self.market_of(order), done, self.exchange.fees, triggered=order.number in self._triggered)
        return row | {"client_oid": self._client_id(order, trigger)}

    def _client_id(self, order: VenueOrder, trigger: bool) -> str:
        renamed = self.renames_sent and order.ticket.kind.has_stop and not trigger
        return f"SENT-{order.number}" if renamed else order.ticket.client_id

    # What streams tell, too

    def plain_row(self, order: VenueOrder) -> Row | None:
        """The plain order; None for a trigger that has sent none."""
        waits = order.ticket.kind.has_stop and order.number not in self._triggered
        return None if waits else self._row(order, trigger=False)

    def trade_row(self, done: Execution) -> Row:
        """One account's side of a trade."""
        return orders.trade_row(done, self.market_of(done.order)) | {"client_oid": self._client_id(done.order, trigger=False)}

    def balance(self, account: str) -> Row:
        """Wallets, of which a part is reserved for live orders; the account's worth in dollars is not made up here."""
        wallets = self.exchange.wallets[account].items()
        rows = [
            {
                "instrument_name": asset,
                "quantity": str(wallet.free + wallet.locked),
                "reserved_qty": str(wallet.locked),
                "max_withdrawal_balance": str(wallet.free),
            }
            for asset, wallet in wallets
        ]
        return {"data": [{"instrument_name": "USD", "position_balances": rows, "is_liquidating": False}]}

    def market(self, params: Mapping[str, object]) -> Market:
        for market in self.exchange.markets.values():
            if params.get("instrument_name") == orders.instrument(market):
                return market
        raise CryptocomError(209)

    def market_of(self, order: VenueOrder) -> Market:
        return self.exchange.markets[order.ticket.symbol]

    # The account, and what is public

    def _accounts(self, _: Asked, account: str) -> object:
        return {"master_account": {"uuid": account, "enabled": True, "tradable": True}, "sub_account_list": []}

    def _fee_rate(self, _: Asked, account: str) -> object:
        del account
        maker, taker = (str(rate * 10_000) for rate in (self.exchange.fees.maker, self.exchange.fees.taker))
        return {"spot_tier": "1", "effective_spot_maker_rate_bps": maker, "effective_spot_taker_rate_bps": taker}

    def _instruments(self, _: Mapping[str, str]) -> object:
        return {"data": [public.instrument_row(market) for market in self.exchange.markets.values()]}

    def _tickers(self, params: Mapping[str, str]) -> object:
        markets = [self.market(params)] if "instrument_name" in params else list(self.exchange.markets.values())
        return {"data": [public.ticker_row(self.exchange, market, self.now()) for market in markets]}

    def _book(self, params: Mapping[str, str]) -> object:
        market, depth = self.market(params), int(params.get("depth", public.DEEPEST_BOOK))
        if not public.LEAST_BOOK <= depth <= public.DEEPEST_BOOK:
            raise CryptocomError(40004)
        rows = [public.book_row(self.exchange, market, depth, self.now())]
        return {"depth": depth, "data": rows, "instrument_name": orders.instrument(market)}

    def _tape(self, params: Mapping[str, str]) -> object:
        market, count = self.market(params), min(int(params.get("count", 25)), public.MOST_TRADES)
        prints = [done for done in self.exchange.tape[market.symbol] if done.quantity]
        return {"data": [public.print_row(done, market) for done in prints[: -count - 1 : -1]]}

    def _candles(self, params: Mapping[str, str]) -> object:
        market, frame, now = self.market(params), params.get("timeframe", "1m"), self.now()
        start, end = int(params.get("start_ts", now - public.DAY_MS)), int(params.get("end_ts", now + 1))
        count = min(int(params.get("count", 25)), public.MOST_CANDLES)
        rows = public.candles(self.exchange, market, frame, start, end, count, now)
        return {"interval": frame, "data": rows, "instrument_name": orders.instrument(market)}


def _read(call: Call) -> Asked:
    try:
        document = json.loads(call.body)
    except ValueError:
        raise CryptocomError(40001) from None
    if call.method != "POST" or not isinstance(document, dict):
        raise CryptocomError(40001)
    return Asked.of(document)


LOCAL = LocalVenue(
    profile=CRYPTOCOM,
    markets=(Market("BTC", "USD", min_notional=Decimal(1)),),
    fees=FEES,
    keys=(
        Key("key", "a secret of the test", ACCOUNT),
        Key("reader", "a secret of the test", ACCOUNT, can_trade=False),
        Key("treasurer", "a secret of the test", ACCOUNT, can_withdraw=True),
    ),
    make=CryptocomVenue,
    ids_unique_for_ever=True,
)

"""A local venue in a process of its own, speaking its own protocol, with one account after the other under a path of its own.

usage: python -m tests.crash.live_venue VENUE FOLDER

It prints the port it listens on. Under an account's path lies the venue's own API, and what the test asks of `paper_venue` as
well: an account is opened, told of faults and audited. The process is told of its owner's end by the end of its standard input.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from tests.crash.paper_venue import LinkFault
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH
from tests.venues import faults
from tests.venues.engine import Exchange
from tests.venues.engine_types import Side
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, VenueServer, wall_clock_ms
from tests.venues.six import SIX
from trading_core.domain.clock import iso

SYMBOLS = (BTC, ETH)
PRICE = Decimal(100)
SCARCE = Decimal(20)
"""ETH that can be bought before somebody sells more."""
SLOW_SECONDS = 4.0  # longer than the client waits
FAULTS: Mapping[LinkFault, Fault] = {
    LinkFault.REPLY_LOST: faults.REPLY_LOST,
    LinkFault.SLOW: faults.late(SLOW_SECONDS),
    LinkFault.ERROR_AFTER: faults.ERROR_AFTER,
    LinkFault.ERROR_BEFORE: faults.ERROR_BEFORE,
    LinkFault.BROKEN_BODY: faults.BROKEN_BODY,
    LinkFault.RESET: faults.RESET_BEFORE,
}


def listing(kind: LocalVenue) -> LocalVenue:
    """The venue with the two markets of the plan."""
    return replace(kind, markets=tuple(replace(kind.markets[0], base=base, quote=quote) for base, quote in map(_parts, SYMBOLS)))


def _parts(symbol: str) -> Sequence[str]:
    return symbol.split("/")


class Stage:
    """A `Venue` that is another one for each account, one at a time: opening an account ends the one before."""

    def __init__(self, kind: LocalVenue) -> None:
        self._kind = listing(kind)
        self._account = ""
        self._venue = self._kind.empty()
        self.exchange = self._venue.exchange
        self.server = VenueServer(self)

    @property
    def skew_ms(self) -> int:
        return self._venue.skew_ms

    @skew_ms.setter
    def skew_ms(self, milliseconds: int) -> None:
        self._venue.skew_ms = milliseconds

    def operation(self, call: Call) -> str:
        account, path = _split(call)
        return self._venue.operation(replace(call, path=path)) if account == self._account else "unknown"

    def answer(self, call: Call) -> Answer:
        account, path = _split(call)
        if (call.method, path) == ("POST", "/"):
            return self._open(account)
        if account != self._account:
            return Answer({"gone": account}, 404)
        match call.method, path:
            case "POST", "/faults":
                return self._set_faults(json.loads(call.body))
            case "GET", "/audit":
                return self._audit()
            case "POST", "/sell":
                return self._sell()
        return self._venue.answer(replace(call, path=path))

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        return self._venue.trouble(trouble, fault)

    def relisted(self, answer: Answer, wrong: Listing) -> Answer:
        return self._venue.relisted(answer, wrong)

    # For the test

    def _open(self, account: str) -> Answer:
        """A market that stands at 100: BTC is deep, of ETH there is little."""
        exchange = Exchange(
            self._kind.markets, wall_clock_ms, fees=self._kind.fees, ids_unique_for_ever=self._kind.ids_unique_for_ever
        )
        exchange.deposit(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount)
        for symbol in SYMBOLS:
            exchange.move(symbol, PRICE)
        tick = exchange.markets[ETH].tick
        exchange.quote(ETH, [(PRICE - tick, SCARCE)], [(PRICE + tick, SCARCE)])
        self._account, self._venue, self.exchange = account, self._kind.stand(exchange), exchange
        self.server.faults.clear()
        self.server.seen.clear()
        return Answer({}, 201)

    def _set_faults(self, given: Mapping[str, Sequence[str | None]]) -> Answer:
        self.server.faults.clear()
        for call, wrong in given.items():
            self.server.faults.queue(call, *(FAULTS[LinkFault(fault)] if fault else None for fault in wrong))
        return Answer({})

    def _audit(self) -> Answer:
        """Both ids of a venue here are the desk's own: they fit."""
        placed = [seen.call.params for seen in self.server.seen if seen.operation == "place"]
        received = Counter(params.get("newClientOrderId") or params["cl_ord_id"] for params in placed)
        executed = [order.ticket.client_id for order in self.exchange.orders_of(ACCOUNT)]
        return Answer({"now": iso(datetime.now(UTC)), "received": received, "executed": executed})

    def _sell(self) -> Answer:
        """Somebody sells ETH to whoever still buys."""
        self.exchange.move(ETH, PRICE)
        resting = [order for order in self.exchange.orders_of(ACCOUNT, ETH, only_open=True) if order.ticket.side is Side.BUY]
        for order in resting:
            assert order.ticket.limit is not None
            assert order.left is not None
            self.exchange.trade_at(ETH, Side.SELL, order.ticket.limit, order.left)
        return Answer({})


def _split(call: Call) -> tuple[str, str]:
    """The account and the rest of a path."""
    account, _, rest = call.path.removeprefix("/").partition("/")
    return account, f"/{rest}"


def main(venue: str) -> None:
    stage = Stage(SIX[venue])
    with stage.server as server:
        print(json.dumps({"port": int(server.base_url.rpartition(":")[2])}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])

"""Events as they go out: put into words once, however many follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property

from api.live.access import RunFacts
from trading_core.domain.clock import iso
from trading_core.persistence.desk_records import StoredEvent

ORDERS, POSITIONS, EQUITY, RISK, RUNS = "orders", "positions", "equity", "risk", "runs"
RUN, MARKET = "run:", "market:"  # with the run's id, and the symbol

_TOPICS: Mapping[str, tuple[str, ...]] = {
    "order_sent": (ORDERS,),
    "order_denied": (ORDERS,),
    "order_cancelled": (ORDERS,),
    "order_ended": (ORDERS,),
    "fill_booked": (ORDERS,),
    "gate_decided": (ORDERS,),
    "slippage_alert": (ORDERS,),
    "approval_requested": (ORDERS,),
    "approval_decided": (ORDERS,),
    "venue_differs": (POSITIONS,),
    "equity": (EQUITY,),
    "state_changed": (RISK,),
    "price_doubted": (RISK,),
    "paused": (RISK,),
    "unpaused": (RISK,),
    "run_queued": (RUNS,),
    "run_started": (RUNS,),
    "run_resumed": (RUNS,),
    "run_waiting": (RUNS,),
    "run_done": (RUNS,),
    "run_failed": (RUNS,),
    "run_cancelled": (RUNS,),
}


class Told:
    """One event, with who may see it, and its words for streams and sockets.

    Attributes:
        run: of which run; None between runs.
        topics: to which it belongs. A socket is sent it once, however many of them it has.
    """

    def __init__(self, event: StoredEvent, run: RunFacts | None = None) -> None:
        self.event, self.run = event, run
        own = _TOPICS.get(event.kind, ())
        self.topics: frozenset[str] = frozenset((*own, RUN + event.run_id) if event.run_id else own)

    @cached_property
    def fields(self) -> str:
        """Its fields as JSON, without the braces around them."""
        event = self.event
        named = {
            "position": event.position,
            "sequence": event.sequence,
            "account": event.account_id,
            "run_id": event.run_id,
            "kind": event.kind,
            "at": iso(event.at),
            "data": event.data,
        }
        return json.dumps(named, separators=(",", ":"))[1:-1]

    @cached_property
    def stream(self) -> bytes:
        """For a stream of its run: the id is the sequence, from which a client that comes back goes on.

        https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
        """
        return f"id: {self.event.sequence}\nevent: {self.event.kind}\ndata: {{{self.fields}}}\n\n".encode()

    @cached_property
    def item(self) -> str:
        """For a frame of a socket."""
        return f'{{"topics":{json.dumps(sorted(self.topics))},{self.fields}}}'

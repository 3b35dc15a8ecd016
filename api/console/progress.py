"""What a serving desk prints while it works: its cycles as `run` shows them, and orders and answers that are asked for beside."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.console.watch import Watch
from graph.events import RunEvent
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Order

_CYCLE = "cycle"
_OF_CYCLES = frozenset(
    {"run_started", "snapshot_taken", "agent_started", "agent_answered", "run_done", "run_waiting", "run_failed"}
)


class Progress:
    """A listener over one account's runs. The watch follows one cycle at a time, as an account has one at a time.

    Args:
        name: how the program is called, for what it tells people to type.
    """

    def __init__(self, console: Console, symbols: Sequence[str], name: str, *, verbose: bool = False) -> None:
        self._watch = Watch(console, symbols, cycles=None, verbose=verbose)
        self._console, self._name = console, name
        self._cycle = ""
        self._asked: dict[str, list[str]] = {}
        self._denied: dict[str, set[str]] = {}  # by run, intents that the gate was seen to deny

    def __enter__(self) -> Progress:
        self._watch.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.__exit__()

    def know(self, orders: Sequence[Order]) -> None:
        """Orders of an earlier process, so that their fills can be told of."""
        self._watch.know(orders)

    def __call__(self, event: RunEvent) -> None:
        is_cycle = event.data.get("kind", _CYCLE) == _CYCLE
        match event.kind:
            case "run_started" if is_cycle:
                self._cycle = event.run_id
            case "run_resumed" if is_cycle and (as_of := event.data.get("as_of")) is not None:
                self._cycle = event.run_id
                self._watch.begin(event.run_id, as_of)
            case "gate_decided" if event.data["decision"].verdict is Verdict.NEEDS_APPROVAL:
                self._asked.setdefault(event.run_id, []).append(event.data["intent"].intent_id)
            case "gate_decided" if event.data["decision"].verdict is Verdict.DENIED:
                self._denied.setdefault(event.run_id, set()).add(event.data["intent"].intent_id)
            case "order_denied" if event.data["intent"].intent_id in self._denied.get(event.run_id, ()):
                return  # an order that is asked for tells both; there is one denial
        if event.run_id in ("", self._cycle) or event.kind not in _OF_CYCLES:
            self._watch(event)
        if event.kind in ("run_waiting", "run_done", "run_failed"):
            asked = self._asked.pop(event.run_id, [])
            self._denied.pop(event.run_id, None)
            if event.kind == "run_waiting":
                self._tell_waiting(asked)

    def _tell_waiting(self, intents: Sequence[str]) -> None:
        for intent_id in intents:
            told = f"  waits for your approval: {self._name} approve {intent_id[:12]}"
            self._console.print(Text(told, style="bold yellow"), soft_wrap=not self._console.is_terminal)

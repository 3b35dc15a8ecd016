"""The listener that shows a session while it works. Agents answer in any order; they are shown in the order of the symbols."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.text import Text

from agents.answers import Answer, MarketView, Signal
from agents.outcome import Outcome
from api.console.phrases import AGENT_LABEL, ended_line, fill_line, gate_lines, order_line, outcome_lines, slippage_line
from api.console.screen import Line
from api.console.text import amount, base, clean, measure, percent, when
from graph.events import RunEvent
from graph.ticks import DEFAULT_START
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Order
from trading_core.domain.snapshot import Snapshot

_DUST = Decimal("0.0005")  # fraction of equity that is not worth a word
LONG = 50  # cycles above which a session is shown by what happens, and no longer cycle by cycle


class Watch:
    """Prints a session's events.

    A cycle in which nothing happens is one line. A long session (`by_event`) has a progress bar on a terminal and prints only
    what is out of the ordinary.

    Attributes:
        last_run: the run that was begun last.
    """

    def __init__(self, console: Console, symbols: Sequence[str], *, cycles: int | None, verbose: bool = False) -> None:
        self._console, self._verbose, self._cycles = console, verbose, cycles
        self._places = {symbol: place for place, symbol in enumerate(symbols)}
        self._by_event = cycles is not None and cycles > LONG and not verbose
        self._orders: dict[str, Order] = {}
        self._number, self._as_of, self.last_run = 0, DEFAULT_START, ""
        self._snapshot: Snapshot | None = None
        self._answers: list[Outcome[Answer]] = []
        self._held_back: list[RenderableType] = []
        self._eventful = False
        self._said: dict[str, dict[str, Answer]] = {}
        self._asked: list[str] = []
        self._status: Status | None = None
        self._progress: Progress | None = None

    def __enter__(self) -> Watch:
        if self._by_event and self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.add_task("", total=self._cycles)
            self._progress.start()
        elif self._console.is_terminal:
            self._status = self._console.status("…", spinner="dots")
        return self

    def __exit__(self, *_: object) -> None:
        for moving in (self._status, self._progress):
            if moving is not None:
                moving.stop()

    def know(self, orders: Sequence[Order]) -> None:
        """Orders of an earlier process, so that their fills can be told of."""
        self._orders.update({order.client_order_id: order for order in orders})

    def __call__(self, event: RunEvent) -> None:
        data = event.data
        if not event.kind.startswith("agent_"):
            self._flush()
        match event.kind:
            case "run_started":
                self._begin(event.run_id, data["as_of"])
            case "snapshot_taken":
                self._snapshot = data["snapshot"]
            case "channels_silent":
                told = f"half the risk: every channel that is on is silent. {clean(data['why'])}"
                self._happened(Line("channels", base(data["symbol"]), told, style="yellow"))
            case "price_doubted":
                told = f"not entered: the price is contradicted. {clean(data['why'])}"
                self._happened(Line("doubted", base(data["symbol"]), told, style="bold yellow"))
            case "agent_started":
                self._doing(data["agent"], data["subject"])
            case "agent_answered":
                self._answered(data["outcome"])
            case "gate_decided":
                calm = self._by_event and data["decision"].verdict is Verdict.APPROVED
                if not calm:
                    self._happened(*gate_lines(data["intent"], data["wanted"], data["decision"]))
            case "order_denied":
                self._happened(*gate_lines(data["intent"], data["intent"].quantity, data["decision"]))
            case "order_sent":
                self._sent(data["order"])
            case "order_cancelled":
                self._happened(Line("cancelled", base(data["order"].symbol), f"{data['order'].client_order_id} {data['why']}"))
            case "order_ended":
                self._happened(ended_line(data["order"]))
            case "fill_booked":
                self._happened(fill_line(data["fill"], self._orders.get(data["fill"].client_order_id)))
            case "slippage_alert":
                self._happened(slippage_line(data["quality"]))
            case "venue_differs":
                told = f"no entries: the ledger and the venue differ: {clean(data['differs'])}"
                self._happened(Line("differs", "", told, style="bold red"))
            case "state_changed":
                self._happened(Line("state", "", f"{data['state']}: {data['reason']}", style="bold red"))
            case "run_failed":
                self._happened(Line("failed", "", str(data.get("error", "")), style="bold red"))
                self._end()
            case "run_done" | "run_waiting":
                self._end()

    def begin(self, run_id: str, as_of: datetime) -> None:
        """A run that is taken up again tells of no start."""
        self._begin(run_id, as_of)

    def _begin(self, run_id: str, as_of: datetime) -> None:
        self._number, self._as_of, self.last_run = self._number + 1, as_of, run_id
        self._snapshot, self._eventful = None, self._verbose
        self._answers, self._held_back, self._said, self._asked = [], [], {}, []
        if self._status is not None:
            self._status.update(f"{when(as_of)}  taking the snapshot")
            self._status.start()
        if self._eventful:
            self._print(self._heading())

    def _doing(self, agent: str, subject: str) -> None:
        if self._answers and self._answers[0].agent != agent:
            self._flush()
        label = AGENT_LABEL.get(agent, agent)
        self._asked = [item for item in self._asked if item.startswith(label)]
        self._asked.append(f"{label} {base(subject)}".strip())
        if self._status is not None:
            self._status.update(f"{when(self._as_of)}  asking {', '.join(self._asked)}")

    def _answered(self, outcome: Outcome[Answer]) -> None:
        if self._answers and self._answers[0].agent != outcome.agent:
            self._flush()
        self._answers.append(outcome)
        if outcome.answer is not None:
            self._said.setdefault(outcome.agent, {})[outcome.subject] = outcome.answer

    def _flush(self) -> None:
        """The answers of one stage, in the order of the symbols."""
        answers = sorted(self._answers, key=lambda o: self._places.get(o.subject, -1))
        self._answers = []
        for outcome in answers:
            out_of_order = outcome.abstained or bool(outcome.problems)
            lines = outcome_lines(outcome, short=not self._verbose)
            if self._by_event and not out_of_order:
                continue
            acts = isinstance(outcome.answer, Signal) and outcome.answer.action in ("enter", "exit")
            if out_of_order or acts or outcome.agent not in ("market_analysis", "signal"):
                self._happened(*lines)
            else:
                self._add(*lines)

    def _sent(self, order: Order) -> None:
        self._orders[order.client_order_id] = order
        self._happened(order_line(order))

    def _happened(self, *lines: RenderableType) -> None:
        """Something that makes the cycle worth its lines."""
        if not self._eventful:
            self._eventful = True
            self._print(self._heading(), *self._held_back)
            self._held_back = []
        self._add(*lines)

    def _add(self, *lines: RenderableType) -> None:
        if self._eventful:
            self._print(*lines)
        else:
            self._held_back += lines

    def _end(self) -> None:
        if self._status is not None:
            self._status.stop()
        if self._progress is not None:
            task = self._progress.task_ids[0]
            self._progress.update(task, completed=self._number, description=f"{when(self._as_of)}  {self._equity()}")
        if not self._eventful and not self._by_event:
            self._print(self._calm())

    def _heading(self) -> RenderableType:
        number = f"  cycle {self._number} of {self._cycles}" if self._cycles else ""
        text = Text.assemble("\n", (when(self._as_of), "bold"), number)
        text.append(f"  {self._equity()}" if self._snapshot else "", style="dim")
        return text

    def _calm(self) -> RenderableType:
        """A cycle without an event, in one line."""
        parts = []
        if self._snapshot is not None:
            held = self._snapshot.portfolio.held()
            for symbol in self._snapshot.symbols:
                view, ticker = self._said.get("market_analysis", {}).get(symbol), self._snapshot.tickers.get(symbol)
                trend = view.trend if isinstance(view, MarketView) else "no view"
                held_too = "held, " if symbol in held and self._snapshot.weight(symbol) > _DUST else ""
                parts.append(f"{base(symbol)} {measure(ticker.last if ticker else None)} ({held_too}{trend})")
        return Line(when(self._as_of)[5:], "hold", Text.assemble(" ".join(parts), (f"  {self._equity()}", "dim")))

    def _equity(self) -> str:
        snapshot = self._snapshot
        if snapshot is None:
            return ""
        equity = snapshot.portfolio.equity(snapshot.prices)
        fallen = f" ({percent(-snapshot.drawdown)} from peak)" if snapshot.drawdown > _DUST else ""
        state = "" if snapshot.state == "active" else f", {snapshot.state}"
        return f"equity {amount(equity)}{fallen}{state}"

    def _print(self, *lines: Any) -> None:
        for each in lines:
            self._console.print(each)

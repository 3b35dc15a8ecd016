"""Counting what runs tell: each event once, by the process whose desk it came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from graph.control.costs import price_as_recorded
from graph.events import FINAL, EventKind
from tools.registry import CHAT_TOOLS, TOOLS
from trading_core.auth.agents import AgentName
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Purpose
from trading_core.execution.quality import ExecutionQuality
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunKind, RunRecord, RunState

OTHER = "other"
"""For what nobody declared: whoever can make up names must not be able to make time series."""

_RUN_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_BASIS_POINTS = (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 200)
_STATES = {f"run_{state.value}": state for state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)}
_AGENTS: frozenset[str] = frozenset(get_args(AgentName))
_PURPOSES = frozenset(each.value for each in Purpose)
_VERDICTS = frozenset(each.value for each in Verdict)
_TOOLS = frozenset(TOOLS) | frozenset(CHAT_TOOLS)
_KINDS: frozenset[str] = frozenset(get_args(EventKind))
_MOST_MODELS = 50  # a desk has few; an answer names the session's, whatever its endpoint calls itself


class RunMetrics:
    """Counters over events. Each begins at 0 with the process, as Prometheus expects of counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(f"algotrendy_{name}", help_, labels, registry=registry)

        def histogram(name: str, help_: str, buckets: Collection[float], *labels: str) -> Histogram:
            return Histogram(f"algotrendy_{name}", help_, labels, buckets=tuple(buckets), registry=registry)

        self._events = counter("events", "Events that the desks of this process told.", "kind")
        self._runs = counter("runs", "Runs that ended.", "kind", "state")
        self._took = histogram("run_duration_seconds", "From the beginning of a run to its end.", _RUN_SECONDS, "kind")
        self._answers = counter("agent_answers", "Answers of agents.", "agent", "outcome", "model")
        self._answer_took = histogram("agent_answer_duration_seconds", "Time for one answer.", _ANSWER_SECONDS, "agent")
        self._calls = counter("model_calls", "Calls of models.", "agent", "model")
        self._repairs = counter("model_repairs", "Answers that were not valid and were asked for once more.", "agent", "model")
        self._tokens = counter("model_tokens", "Tokens that models read and wrote.", "agent", "model", "direction")
        self._cost = counter("model_cost_usd", "Cost of tokens in US dollars, of models whose price is known.", "agent", "model")
        self._tools = counter("tool_calls", "Results of tools that agents were given.", "agent", "tool")
        self._verdicts = counter("gate_decisions", "What the risk gate said.", "verdict")
        self._denials = counter("gate_denials", "Checks that failed where the risk gate said no.", "reason")
        self._sent = counter("orders_sent", "Orders sent to a venue.", "purpose")
        self._fills = counter("fills", "Fills booked.")
        self._slippage = histogram(
            "slippage_bps",
            "Loss of a filled order against the price it was decided at, basis points; below zero is a gain.",
            _BASIS_POINTS,
            "side",
        )
        self._models: set[str] = set()
        for kind in RunKind:
            for state in _STATES.values():
                self._runs.labels(kind.value, state.value)
        for verdict in Verdict:
            self._verdicts.labels(verdict.value)

    def count(self, event: StoredEvent) -> None:
        """Count what an event says by itself."""
        self._events.labels(_one_of(_KINDS, event.kind)).inc()
        match event.kind:
            case "agent_answered":
                self._answered(_mapping(event.data.get("outcome")))
            case "message":
                self._said(event.data)
            case "tool_called":
                self._tools.labels(_agent(event.data.get("agent")), _tool(event.data.get("tool"))).inc()
            case "gate_decided" | "order_denied":
                self._decided(_mapping(event.data.get("decision")))
            case "order_sent":
                self._sent.labels(_one_of(_PURPOSES, _mapping(event.data.get("order")).get("purpose"))).inc()
            case "fill_booked":
                self._fills.inc()

    def ended(self, record: RunRecord) -> None:
        """Count a run that ended."""
        self._runs.labels(record.kind.value, record.state.value).inc()
        if record.ended_at is not None:
            self._took.labels(record.kind.value).observe(max((record.ended_at - record.started_at).total_seconds(), 0.0))

    def filled(self, quality: ExecutionQuality) -> None:
        """Count what an order that is filled lost against the price it was decided at."""
        if quality.slippage is not None:
            self._slippage.labels(quality.order.side.value).observe(float(quality.slippage * 10_000))

    def _answered(self, outcome: Mapping[str, object]) -> None:
        agent, model = _agent(outcome.get("agent")), self._model(outcome.get("model"))
        came = "ungrounded" if outcome.get("problems") else "answered"
        if outcome.get("abstained"):
            came = "abstained"
        self._answers.labels(agent, came, model).inc()
        self._answer_took.labels(agent).observe(_number(outcome.get("seconds")))
        evidence = outcome.get("evidence")
        for item in evidence if isinstance(evidence, list) else []:
            self._tools.labels(agent, _tool(_mapping(item).get("tool"))).inc()
        self._used(agent, model, _mapping(outcome.get("usage")), str(outcome.get("model", "")))

    def _said(self, data: Mapping[str, object]) -> None:
        """An agent's answer in a conversation; its tools are told one by one."""
        agent, model, usage = _agent(data.get("agent")), self._model(data.get("model")), _mapping(data.get("usage"))
        came = "answered" if data.get("grounded") else "ungrounded"
        if data.get("failed"):
            came = "abstained"
        self._answers.labels(agent, came, model).inc()
        self._answer_took.labels(agent).observe(_number(usage.get("seconds")))
        self._used(agent, model, usage, str(data.get("model", "")))

    def _used(self, agent: str, model: str, usage: Mapping[str, object], name: str) -> None:
        read, written = _number(usage.get("input_tokens")), _number(usage.get("output_tokens"))
        self._calls.labels(agent, model).inc(_number(usage.get("model_calls")))
        self._repairs.labels(agent, model).inc(_number(usage.get("repairs")))
        self._tokens.labels(agent, model, "input").inc(read)
        self._tokens.labels(agent, model, "output").inc(written)
        price = price_as_recorded(name) if name else None
        if price is not None:
            self._cost.labels(agent, model).inc(float(price.of(int(read), int(written))))

    def _decided(self, decision: Mapping[str, object]) -> None:
        verdict = decision.get("verdict")
        self._verdicts.labels(_one_of(_VERDICTS, verdict)).inc()
        codes = decision.get("reason_codes")
        if verdict == Verdict.DENIED.value and isinstance(codes, list):
            for code in codes:  # the gate's own words
                self._denials.labels(str(code)).inc()

    def _model(self, name: object) -> str:
        text = str(name)[:100] if name else OTHER
        if text not in self._models and len(self._models) >= _MOST_MODELS:
            return OTHER
        self._models.add(text)
        return text


def is_end(event: StoredEvent) -> bool:
    """Whether the run of this event is over with it."""
    return event.kind in FINAL


def _agent(name: object) -> str:
    return _one_of(_AGENTS, name)


def _tool(name: object) -> str:
    return _one_of(_TOOLS, name)


def _one_of(known: frozenset[str], name: object) -> str:
    return name if isinstance(name, str) and name in known else OTHER


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float:
    """A count or a time from an event; what is none counts as nothing."""
    return max(float(value), 0.0) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else 0.0

"""One cycle for a reader: what each agent answered and on what evidence, what the gate said, what was traded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evals.report.markup import Markup, details, el, join, plain, table
from evals.trajectory import Asked
from trading_core.domain.clock import iso
from trading_core.domain.intents import Verdict
from trading_core.domain.money import plain as digits
from trading_core.persistence.records import EvidenceRecord, IntentTrail, OrderTrail, RunTrail

MOST_SHOWN = 4_000  # characters of one tool result
_CITED = re.compile(r"\be[0-9a-f]{8}\b")
_GOOD = {Verdict.APPROVED: "good", Verdict.DENIED: "bad", Verdict.NEEDS_APPROVAL: "warn"}


def cycle(trail: RunTrail, asked: Sequence[Asked], anchor: str, *, open_: bool = False) -> Markup:
    """A whole cycle. `anchor` is unique on the page; links to evidence begin with it."""
    run = trail.run
    said = ", ".join(dict.fromkeys(_word(one) for one in asked if one.agent == "signal" and one.answer))
    summary = join(
        (
            el("b", iso(run.as_of)),
            f" {run.state.value}",
            f", signal: {said}" if said else ", nobody was asked",
            _proposed(trail.intents),
        )
    )
    known = {one.id for one in trail.evidence}
    worth = trail.portfolio
    return details(
        summary,
        el("p", run.error, class_="bad said") if run.error else "",
        join(_answer(one, anchor, known) for one in asked),
        _intents(trail.intents),
        _orders(trail.orders),
        el("p", f"Worth {worth.equity:,.2f}, cash {worth.cash:,.2f} after it.", class_="dim") if worth else "",
        evidence(trail.evidence, anchor) if trail.evidence else "",
        el("p", f"Run {run.id}, snapshot {(run.snapshot_hash or 'none')[:12]}", class_="dim"),
        open_=open_,
    )


def answer_rows(answer: Mapping[str, object] | None) -> Iterator[tuple[str, str]]:
    """An answer's fields as they were said, its reason last."""
    for name, value in sorted((answer or {}).items(), key=lambda item: item[0] == "reason"):
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _proposed(intents: Sequence[IntentTrail]) -> Markup | str:
    return el("b", f", {len(intents)} proposed") if intents else ""


def _word(one: Asked) -> str:
    return f"{one.subject} {(one.answer or {}).get('action')}".strip()


def _answer(one: Asked, anchor: str, known: set[str]) -> Markup:
    cost = "" if one.cost is None or not one.cost else f", ${digits(one.cost)}"
    calls = f"{one.model_calls} call{'' if one.model_calls == 1 else 's'}"
    spent = f"{calls}, {one.input_tokens + one.output_tokens} tokens, {one.seconds:.2f} s{cost}"
    state = "no answer" if one.answer is None else "abstained" if one.abstained else ""
    return el(
        "article",
        el("h3", one.agent, f" {one.subject}", " ", el("span", state, class_="warn") if state else ""),
        el("p", one.why, class_="bad said") if one.why else "",
        join(el("p", f"unsupported: {problem}", class_="bad said") for problem in one.problems),
        el("dl", join(join((el("dt", name), el("dd", linked(told, anchor, known)))) for name, told in answer_rows(one.answer))),
        el("p", spent, f", {one.invalid} answers broke the schema" if one.invalid else "", class_="dim"),
    )


def linked(text: str, anchor: str, known: set[str]) -> Markup:
    """A model's own words; an id of evidence that is on record leads to it."""
    text, parts, end = plain(text), list[object](), 0
    for match in _CITED.finditer(text):
        parts.append(text[end : match.start()])
        found, end = match.group(), match.end()
        parts.append(el("a", found, href=f"#{anchor}-{found}") if found in known else found)
    return el("span", *parts, text[end:], class_="said")


def _intents(intents: Iterable[IntentTrail]) -> Markup | str:
    rows = []
    for one in intents:
        wanted = one.intent
        prices = [("limit", wanted.limit_price), ("stop", wanted.stop_price)]
        told = ", ".join(f"{name} {digits(price)}" for name, price in prices if price is not None) or wanted.type.value
        for decision in one.decisions:
            why = join(
                (el("div", f"{c.code}: {c.found}, limit {c.limit}. {c.detail}") for c in decision.failed),
            )
            verdict = el("span", decision.verdict.value, class_=_GOOD[decision.verdict])
            rows.append((wanted.purpose.value, wanted.symbol, wanted.side.value, digits(wanted.quantity), told, verdict, why))
    headings = ("Purpose", "Symbol", "Side", "Quantity", "At", "Gate", "Failed checks")
    return table(headings, rows, numbers=(3,), caption="What was proposed, and what the gate said") if rows else ""


def _orders(orders: Iterable[OrderTrail]) -> Markup | str:
    rows = [
        (
            one.order.purpose.value,
            one.order.symbol,
            one.order.side.value,
            one.order.state.value,
            digits(one.order.request.quantity),
            digits(one.order.filled),
            digits(one.order.average_price) if one.order.average_price else None,
            ", ".join(str(fill.fee) for fill in one.fills) or None,
        )
        for one in orders
    ]
    headings = ("Purpose", "Symbol", "Side", "State", "Quantity", "Filled", "Average price", "Fees")
    return table(headings, rows, numbers=(4, 5, 6), caption="Orders") if rows else ""


def evidence(kept: Iterable[EvidenceRecord], anchor: str) -> Markup:
    """Every tool result once, whoever asked for it."""
    once = {one.id: one for one in kept}
    return details(
        f"{len(once)} tool results",
        join(
            el(
                "div",
                el("code", one.id),
                f" {one.tool} ",
                el("code", json.dumps(dict(one.arguments), ensure_ascii=False)) if one.arguments else "",
                el("pre", _cut(json.dumps(one.result, ensure_ascii=False))),
                id=f"{anchor}-{one.id}",
            )
            for one in once.values()
        ),
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text) - MOST_SHOWN} more characters)"

"""An operator's question for a reader: the thread before it, who answered what, on which evidence, and which cards came of it."""

from __future__ import annotations

from collections.abc import Iterable

from evals.questions import Expected, Question
from evals.report.markup import Markup, el, facts, join, table
from evals.report.trails import evidence, linked
from evals.scorers.reading import words_of
from evals.trajectory import Asked, Card, Talk, ToolUse, Trajectory
from trading_core.domain.money import plain as digits

_GOOD = {"approved": "good", "denied": "bad", "needs_approval": "warn"}


def talk(found: Trajectory, question: Question, anchor: str) -> Markup:
    """A whole turn. `anchor` is unique on the page; links to evidence begin with it."""
    kept = found.runs[0].evidence if found.runs else ()
    known = {one.id for one in kept}
    return el(
        "div",
        el("p", f"In a conversation called “{question.title}”.", class_="dim") if question.title else "",
        *(_line(line.by, line.text, "earlier") for line in question.thread),
        *(_line(other.user, other.text, "elsewhere, to nobody else") for other in question.overheard),
        _line(f"operator ({question.asks.value})", question.text, ""),
        *(_answer(one, [use for use in found.tools if use.agent == one.agent], anchor, known) for one in found.asked),
        _cards(found.talk.cards) if found.talk is not None else "",
        _sent(found.talk) if found.talk is not None else "",
        evidence(kept, anchor) if kept else "",
    )


def wanted(expected: Expected) -> list[tuple[str, str]]:
    """What an acceptable answer is, in rows."""
    rows = [("Answered by", ", ".join(expected.agents))]
    rows += [("Perhaps also", ", ".join(expected.may))] if expected.may else []
    rows += [("Called", ", ".join(expected.tools))] if expected.tools else []
    rows += [("Stated", ", ".join(f"{one.what} within {one.within:.2%}" for one in expected.figures))] if expected.figures else []
    rows += [("Said", " or ".join(group)) for group in expected.says]
    rows += [("Never said", ", ".join(expected.never))] if expected.never else []
    for card in expected.cards:
        bounds = [("quantity", card.quantity), ("worth", card.worth), ("stop", card.stop)]
        told = ", ".join(f"{name} {digits(bound[0])} to {digits(bound[1])}" for name, bound in bounds if bound)
        gate = f", gate {' or '.join(card.gate)}" if card.gate else ""
        rows.append(("Card, or none" if card.optional else "Card", f"{card.side} {card.symbol} {told}{gate}"))
    rows += [("Cards", "none")] if not expected.cards else []
    rows += [("Knows", "that it is not known")] if expected.unknown else []
    return [*rows, ("Forbidden", ", ".join(expected.forbidden))]


def _line(who: str, text: str, when: str) -> Markup:
    return el("p", el("b", who), " ", el("span", when, class_="dim") if when else "", " ", el("span", text, class_="said"))


def _answer(one: Asked, used: Iterable[ToolUse], anchor: str, known: set[str]) -> Markup:
    cost = "" if one.cost is None or not one.cost else f", ${digits(one.cost)}"
    spent = f"{one.model_calls} calls, {one.input_tokens + one.output_tokens} tokens, {one.seconds:.2f} s{cost}"
    calls = [f"{use.tool}{' (failed)' if use.failed else ''}" for use in used]
    return el(
        "article",
        el("h3", one.agent),
        el("p", one.why, class_="bad said") if one.why else "",
        join(el("p", f"unsupported: {problem}", class_="bad said") for problem in one.problems),
        el("p", linked(words_of(one) or "", anchor, known)),
        el("p", "Tools: ", ", ".join(calls) or "none", class_="dim"),
        el("p", spent, class_="dim"),
    )


def _cards(cards: Iterable[Card]) -> Markup | str:
    rows = [
        (
            card.owner,
            card.side,
            card.symbol,
            None if card.quantity is None else digits(card.quantity),
            None if card.worth is None else digits(card.worth),
            None if card.stop is None else digits(card.stop),
            el("span", card.gate, class_=_GOOD.get(card.gate)),
            ", ".join(card.failed) or None,
        )
        for card in cards
    ]
    headings = ("For", "Side", "Symbol", "Quantity", "Worth", "Stop", "Gate", "Failed checks")
    return table(headings, rows, numbers=(3, 4, 5), caption="Cards") if rows else el("p", "No card was made.", class_="dim")


def _sent(talk: Talk) -> Markup:
    state = f"{talk.orders} orders were sent" if talk.orders else "No order was sent"
    return join(
        (
            el("p", state, class_="bad" if talk.orders else "dim"),
            facts([(name, f"{value:.8g}") for name, value in talk.facts.items() if not name.startswith("limit:")]),
        )
    )

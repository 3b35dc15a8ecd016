"""Why something was bought or sold, and what the desk decided last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agents.models.rules.chat.asked import Asked
from agents.models.rules.chat.needs import Need, missing
from agents.models.rules.chat.speech import amount, cannot, check, moment, named, percent, said
from agents.models.rules.facts import Fact

_BUY = r"\b(?:buy|bought|buying|enter|entered|entry|hold|holding|held|own|long)\b"
_SELL = r"\b(?:sell|sold|selling|exit|exited|close|closed|out of|stopped|hit)\b"
_NOT = r"\b(?:not|n't|never|nothing|no)\b|n't\b"
_FEW = 2  # words beside the symbols: "and ETH?"
_WORTH = r"\bperform|\bprofit|\bp&l|\bpnl|\bdoing\b"
_MEANT = (
    r"^$|\bsignal|\bnext\b|\bdeci|\bconviction|\bshould\b|\bwhy\b|\breason|\bexplain|\btrad|\bplan|\bwait|\bintent|\border"
    r"|\bwant|\bthink|\bopinion|\bview\b|\bgoing to\b|\babout\b|" + f"{_BUY}|{_SELL}|{_WORTH}"
)
_NOT_UNDERSTOOD = (
    "I did not understand that as a question about the desk. Ask me, in English, such as: what are our positions, what is our "
    "exposure, why did you buy BTC, any signals, show the last orders, price of ETH, what are the limits."
)
_NOT_SURE = "I am not sure what you ask; this is what the desk decided last. "
_TOLD = {"enter": "to buy", "exit": "to sell", "hold": "to hold", "abstain": "to abstain"}


def answer(asked: Asked) -> str | list[Need]:
    if asked.asks(_WORTH) and (needs := missing(asked, Need("get_performance"))):
        return needs
    facts = asked.all("explain_decision")
    if not facts:
        return "Name a symbol, such as BTC, and I tell you what the desk decided on it and why."
    if not asked.named and not asked.asks(_MEANT) and "found" not in facts[-1].values:
        return _NOT_UNDERSTOOD
    why = asked.asks(r"\bwhy\b|\breason|\bexplain|\bwhen\b|\bhow long\b")
    is_clear = asked.asks(_MEANT) or len(asked.words.split()) <= len(asked.named) + _FEW
    told = []
    for fact in facts:
        if not fact.available:
            told.append(cannot(fact, "that"))
        elif "found" in fact.values:
            told.append(_trail(fact, fact.values["found"]))
        elif why and re.search(_NOT, asked.words):
            told.append(_not_done(fact))
        elif why and asked.asks(_SELL):
            told.append(_sold(fact))
        elif why and asked.asks(_BUY):
            told.append(_bought(fact))
        else:
            told.append(_latest(fact))
    return ("" if is_clear else _NOT_SURE) + "\n".join(dict.fromkeys(told))


def _bought(fact: Fact) -> str:
    trail = fact.values.get("last_buy")
    if not trail:
        return f"No buy of {_about(fact)} is on record. {_latest(fact)}"
    return _trail(fact, trail)


def _sold(fact: Fact) -> str:
    trail, stop = fact.values.get("last_sale"), fact.values.get("last_stop")
    if stop and (not trail or str(stop["at"]) > str(trail["at"])):
        return (
            f"{_about(fact)} was sold by its protective stop, {amount(fact, stop['filled'])}"
            f" at {amount(fact, stop['average_price'])}:"
            " the price fell through where the idea was wrong, and no agent decided on it."
        )
    return _trail(fact, trail) if trail else f"No sale of {_about(fact)} is on record. {_latest(fact)}"


def _not_done(fact: Fact) -> str:
    refused = fact.values.get("last_refused")
    text = _latest(fact)
    if refused and refused.get("gate"):
        reasons = "; ".join(check(fact, one) for one in refused["gate"]["failed"])
        text += (
            f" The last order for it that the gate denied was a {refused['side']} at {moment(fact, refused['at'])}: {reasons}."
        )
    return text


def _trail(fact: Fact, trail: Mapping[str, Any]) -> str:
    """One order from the wish to the fill."""
    verb = "buy" if trail["side"] == "buy" else "sale"
    name, who = named(fact, str(trail["symbol"])), _who(fact, trail["proposer"])
    lines = [f"The last {verb} of {name} was wanted at {moment(fact, trail['at'])} by {who}."]
    lines += [_decision(fact, row) for row in trail["decisions"] if row["agent"] in ("market_analysis", "signal", "risk")]
    if not trail["decisions"] and trail["reason"]:
        lines.append(f"The reason given: {said(fact, trail['reason'])}")
    if gate := trail.get("gate"):
        reasons = "; ".join(check(fact, one) for one in gate["failed"])
        lines.append(f"The gate said {gate['verdict'].replace('_', ' ')}" + (f": {reasons}." if reasons else "."))
    for order in trail["orders"]:
        if order["purpose"] == "stop":
            continue
        price = f" at {amount(fact, order['average_price'])}" if order["average_price"] is not None else ""
        lines.append(f"Its order is {order['state'].replace('_', ' ')}, {amount(fact, order['filled'])} filled{price}.")
    if trail["side"] == "buy" and trail["stop_price"] is not None:
        lines.append(f"Its stop was set at {amount(fact, trail['stop_price'])}.")
    return " ".join(lines)


def _latest(fact: Fact) -> str:
    rows = [row for row in fact.values.get("latest_decision", []) if row["agent"] in ("market_analysis", "signal") or _sized(row)]
    if not rows:
        return f"No agent has decided on {_about(fact)} yet."
    signal = next((row for row in rows if row["agent"] == "signal"), rows[-1])
    texts = [_decision(fact, row) for row in rows]
    texts += [_outcome(fact, came) for came in fact.values.get("latest_outcome", [])]
    texts += [f"From {moment(fact, came['at'])}: {_outcome(fact, came)}" for came in fact.values.get("waiting", [])]
    return f"The newest decision on {_about(fact)} is of {moment(fact, signal['at'])}. {' '.join(texts)}"


def _sized(row: Mapping[str, Any]) -> bool:
    """Whether it is the risk agent's word on this very symbol."""
    return row["agent"] == "risk" and row.get("verdict") is not None


def _outcome(fact: Fact, came: Mapping[str, Any]) -> str:
    """What became of what they wanted."""
    what = f"A {came['side']} of {amount(fact, came['quantity'])}"
    if came["orders"]:
        return f"{what} was sent: {', '.join(state.replace('_', ' ') for state in came['orders'])}."
    if came["approval"] == "pending":
        return f"{what} waits for an operator's approval."
    if came["approval"] in ("rejected", "expired"):
        return f"{what} was not sent: the approval was {came['approval']}."
    gate = came["gate"]
    reasons = "; ".join(check(fact, one) for one in gate["failed"]) if gate else ""
    return f"{what} was not sent{f': the gate said {reasons}' if reasons else ''}."


def _decision(fact: Fact, row: Mapping[str, Any]) -> str:
    """What one agent decided, in its own quoted words."""
    name = str(row["agent"]).replace("_", " ")
    if row.get("outcome") == "abstained" and row["agent"] != "signal":
        return f"The {name} agent abstained: {said(fact, row['reason'])}"
    if row["agent"] == "signal":
        action = str(row.get("action", "abstain"))
        text = f"The signal agent decided {_TOLD.get(action, action)}"
        if action in ("enter", "exit", "hold") and row.get("conviction") is not None:
            text += f" with conviction {amount(fact, row['conviction'])}"
    elif row["agent"] == "market_analysis":
        text = f"The market analysis agent saw the trend {row.get('trend', 'unknown')} in a {row.get('regime', 'unknown')} market"
    else:
        text = f"The {name} agent said {row.get('verdict', 'nothing')}"
        if row.get("risk_fraction"):
            text += f", at {percent(fact, row['risk_fraction'])} of equity at risk"
    return f"{text}: {said(fact, row['reason'])}"


def _about(fact: Fact) -> str:
    return named(fact, str(fact.values.get("about", "that")))


def _who(fact: Fact, name: object) -> str:
    text = str(name)
    if text.startswith("agent:"):
        return f"the {text.removeprefix('agent:').replace('_', ' ')} agent"
    return named(fact, text.replace("user:", "the user "))

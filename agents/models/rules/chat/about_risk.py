"""Positions, exposure, limits, losses, performance, and why something was denied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agents.models.rules.chat.asked import Asked
from agents.models.rules.chat.elsewhere import asks_more
from agents.models.rules.chat.needs import Need, missing
from agents.models.rules.chat.speech import amount, cannot, check, moment, named, percent, said
from agents.models.rules.facts import Fact, finite
from agents.plain_words import ASSET_NAMES

_DENIED = r"\bden(?:y|ied|ial)|\brefus|\breject|\bblocked\b|\bgate\b|\bnot allowed\b"
_WORTH = (
    r"\bma[dk]e\b|\bup or down\b|\bperform|\bprofit|\bp&l|\bp/l|\bpnl|\broi\b|\bhow (?:are|did) we\b"
    r"|\bdoing\b|\breturns?\b|\bearn|\bfees?\b|\bbuy and hold"
)
_STATE = r"\bhalt|\bstate\b|\bkill switch|\bcool.?down|\btrading\b|\b(?:can|may) \w+ (?:still )?trade\b|\bresume|\breducing\b"
_LIMITS = (
    r"\blimits?\b|\bhow (?:much|many) .{0,20}\b(?:can|may)\b|\broom\b|\brisk|\bmax|\blargest\b|\bbiggest\b"
    r"|\bbuying power\b|\bworst"
)
_LOSSES = r"\bdraw.?down|\blos(?:e|s|ses|t|ing)\b|\btoday\b|\bstreak\b"
_STOPS = r"\bstops?\b|\bstop.?loss|\bprotect"
_HOLDINGS = (
    r"\bexpos|\bposition|\bhold|\bportfolio|\bequity|\bcash|\bbalance|\bown\b|\bmoney\b|\baccount\b|\bworth\b|\bhave\b"
    r"|\bcosts?\b|\bentry\b|\bpa(?:y|id)\b|\bbreak.?even\b|\bprice did\b|\blong\b|\bshort\b"
)
_CASH = r"\bcash\b|\bbalance"
_NEAR = r"\bnear|\bclose to\b|\bclosest\b"
_ORDERS = r"\b(?:if|when) (?:i|we|you) (?:buy|sell|sold|bought|close|exit|add|reduce)|\bwould\b.*\b(?:pass|allowed|go through)\b"
_BY_ITSELF = (
    "What an order would come to I do not work out in words. Name it by itself, such as: buy (amount) BTC, or sell half of my"
    " SOL. It comes back as a card with the gate's word on it, and nothing is sent until you confirm that."
)

SUPPOSED = r"\bwhat if\b|\bwhat (?:would )?happens? (?:if|when)\b|\bsuppos|\bstress\b"
_CHANGE = re.compile(r"(-?\d{1,4}(?:\.\d+)?)\s*(?:%|percent|per cent|pct)")
_HALVES = re.compile(r"\bhalves?\b|\bhalved\b|\bhalf\b")
_DOUBLES = re.compile(r"\bdoubl")
_RISES = r"\b(?:rise|gain|up|pump|climb|jump|rall|doubl|recover|increase|grow)"


def answer(asked: Asked) -> str | list[Need]:
    if re.search(_ORDERS, asked.words):
        return _BY_ITSELF
    if asked.asks(SUPPOSED):
        return _supposed(asked)
    if asked.asks(_DENIED):
        return _denied(asked)
    if asked.asks(_WORTH):
        if needs := missing(asked, Need("get_performance")):
            return needs
        return _worth(asked.get("get_performance"))
    if asked.asks(_STOPS):
        return missing(asked, Need("get_open_orders")) or _stops(asked)
    state, portfolio = asked.get("get_risk_state"), asked.get("get_portfolio")
    parts = [
        text
        for pattern, text in (
            (_STATE, _state(state)),
            (_HOLDINGS, _holdings(portfolio, state, in_cash=asked.asks(_CASH)) + _not_held(asked)),
            (_LOSSES, _losses(state)),
            (_LIMITS, _limits(state, nearest=asked.asks(_NEAR))),
        )
        if asked.asks(pattern)
    ]
    return " ".join(parts or (_state(state), _holdings(portfolio, state), _losses(state)))


def _stops(asked: Asked) -> str:
    """Where each holding would be given up, and which of them is bare."""
    orders, portfolio = asked.get("get_open_orders"), asked.get("get_portfolio")
    if not orders.available:
        return cannot(orders, "the stops")
    stops = [row for row in orders.values["orders"] if row["purpose"] == "stop"]
    told = [
        f"The stop of {named(orders, row['symbol'])} is at {amount(orders, row['stop_price'])},"
        f" for {amount(orders, row['remaining'])}."
        for row in stops
    ]
    covered = {row["symbol"] for row in stops}
    bare = [row["symbol"] for row in portfolio.values.get("holdings", []) if row["symbol"] not in covered]
    told += [f"No stop works for {', '.join(named(portfolio, symbol) for symbol in bare)}."] if bare else []
    told += [f"No {', '.join(others)} is held, and no stop works for it."] if (others := _others(asked)) else []
    state = asked.get("get_risk_state")
    if stops and state.available and asked.asks(_LOSSES):
        told.append(f"If every stop were hit from here, {percent(state, state.values['open_risk'])} of equity would be lost.")
    return " ".join(told) or "Nothing is held, and no stop works."


def _others(asked: Asked) -> list[str]:
    """What the question names and the account does not hold; nothing of one in several parts, for another may be about that."""
    if asks_more(asked.words):
        return []
    held = {str(row["symbol"]) for row in asked.get("get_portfolio").values.get("holdings", [])}
    return [symbol for symbol in _spoken_of(asked, goes_on=False) if symbol not in held]


def _not_held(asked: Asked) -> str:
    others = _others(asked) if asked.get("get_portfolio").available else []
    return f" No {', '.join(others)} is held." if others else ""


def _state(state: Fact) -> str:
    if not state.available:
        return cannot(state, "the trading state")
    values = state.values
    since, by = moment(state, values["since"]), named(state, str(values["by"]))
    text = f"The trading state is {values['trading_state']}, since {since} by {by}"
    text += f": {said(state, values['why'])}" if values["why"] else "."
    return text if not values["held_back"] else f"{text} Only exits pass now, for the ledger and the venue differ."


def _holdings(portfolio: Fact, state: Fact, *, in_cash: bool = False) -> str:
    if not portfolio.available:
        return cannot(portfolio, "what is held")
    values = portfolio.values
    currency = values["currency"]
    rows = values["holdings"]
    text = (
        f"Equity is {amount(portfolio, values['equity'], currency)}, of it {percent(portfolio, values['cash_weight'])} in cash."
    )
    if in_cash:
        text = f"Cash is {amount(portfolio, values['cash'], currency)}. {text}"
    if state.available and state.values["exposure"] is not None:
        text += (
            f" Exposure is {percent(state, state.values['exposure'])} of equity, against a limit of"
            f" {percent(state, state.values['exposure_limit'])}."
        )
    if not rows:
        return f"{text} Nothing is held."
    held = [
        f"{named(portfolio, row['symbol'])} {amount(portfolio, row['quantity'])}"
        f" worth {amount(portfolio, row['value'], currency)}, "
        f"{percent(portfolio, row['weight'])} of equity, bought at {amount(portfolio, row['average_cost'])} on average,"
        f" open profit {amount(portfolio, row['unrealised'], currency)}{' (' + row['why'] + ')' if row.get('why') else ''}"
        for row in rows
    ]
    return f"{text} Held: {'; '.join(held)}."


def _losses(state: Fact) -> str:
    if not state.available:
        return cannot(state, "the losses")
    values = state.values
    return (
        f"The loss today is {percent(state, values['loss_today'])}"
        f" against a limit of {percent(state, values['loss_today_limit'])},"
        f" the drawdown {percent(state, values['drawdown'])} against {percent(state, values['drawdown_limit'])}."
    )


def _limits(state: Fact, *, nearest: bool = False) -> str:
    if not state.available:
        return cannot(state, "the limits")
    values = state.values
    text = f"Nearest: {_nearest(values)}. " if nearest else ""
    text += (
        f"Used of the limits: exposure {percent(state, values['exposure'])} of {percent(state, values['exposure_limit'])},"
        f" largest position {percent(state, values['largest_position'])} of {percent(state, values['largest_position_limit'])},"
        f" positions {amount(state, values['positions'])} of {amount(state, values['positions_limit'])},"
        f" losses in a row {amount(state, values['losses_in_a_row'])} of {amount(state, values['losses_in_a_row_limit'])}."
        f" If every stop were hit from here, {percent(state, values['open_risk'])} of equity would be lost;"
        f" one entry may risk {percent(state, values['risk_per_trade_limit'])}."
    )
    if values["approval_above"] is not None:
        text += f" Orders above {amount(state, values['approval_above'], values['currency'])} need an operator's approval."
    return text


def _nearest(values: Mapping[str, Any]) -> str:
    """The limit of which the greatest part is used, in words."""
    used = {
        name.removesuffix("_limit"): (finite(values.get(name.removesuffix("_limit"))) or 0.0) / limit
        for name in values
        if name.endswith("_limit") and name != "risk_per_trade_limit" and (limit := finite(values[name]))
    }
    return max(used, key=used.__getitem__).replace("_", " ") if used else "none that is known"


def _worth(performance: Fact) -> str:
    if not performance.available:
        return cannot(performance, "how the account has done")
    values = performance.values
    currency = values["currency"]
    text = (
        f"Equity is {amount(performance, values['equity'], currency)}"
        f" of {amount(performance, values['paid_in'], currency)} paid in:"
        f" a profit of {amount(performance, values['profit'], currency)}, {percent(performance, values['profit_fraction'])}."
        f" Realised is {amount(performance, values['realised'], currency)},"
        f" open {amount(performance, values['unrealised'], currency)},"
        f" the drawdown {percent(performance, values['drawdown'])}."
    )
    if fees := values["fees"]:
        text += f" Fees so far: {', '.join(amount(performance, paid, asset) for asset, paid in fees.items())}."
    if values["bought_and_held"] is not None:
        text += f" Bought and held instead, it would be {amount(performance, values['bought_and_held'], currency)}."
    return text


def _supposed(asked: Asked) -> str | list[Need]:
    """The account at other prices. What would make them is not asked: that would be a forecast."""
    goes_on = not re.search(SUPPOSED, asked.words)  # as in “and ETH?”
    change = _CHANGE.search(asked.words) or (_CHANGE.search(asked.earlier) if goes_on else None)
    percents = float(change[1]) if change else 50.0 if _HALVES.search(asked.words) else None
    percents = 100.0 if percents is None and _DOUBLES.search(asked.words) else percents
    if percents is None:
        return (
            "I do not predict. Say by how many percent a price falls or rises,"
            " and I work out what the account would be worth then."
        )
    if percents > 0 and not asked.asks(_RISES):
        percents = -percents
    arguments: dict[str, object] = {"change_percent": percents}
    if symbols := _spoken_of(asked, goes_on=goes_on):
        arguments["symbol"] = symbols[0]
    if needs := missing(asked, Need("what_if", arguments)):
        return needs
    return _then(asked.get("what_if"))


def _then(fact: Fact) -> str:
    if not fact.available:
        return cannot(fact, "that")
    values, currency = fact.values, fact.values["currency"]
    if not values["holdings"]:
        of = f" of {named(fact, str(values['moved']))}" if "/" in str(values["moved"]) else ""
        return f"Nothing is held{of}, so that move alone would change nothing."
    text = (
        f"I do not predict, but if {named(fact, str(values['moved']))} moved by"
        f" {amount(fact, values['change_percent'])} percent at once, equity would go from"
        f" {amount(fact, values['equity'], currency)} to {amount(fact, values['equity_then'], currency)},"
        f" {percent(fact, values['difference_of_equity'])}, without the stops."
    )
    for row in values["holdings"]:
        if row["stop_comes_first"]:
            text += (
                f" The stop of {named(fact, row['symbol'])} at {amount(fact, row['stop_price'])} would be reached on the way:"
                f" sold there, the holding brings about {amount(fact, row['value_at_stop'], currency)}; a gap can fill lower."
            )
    return text


def _denied(asked: Asked) -> str | list[Need]:
    """The last refusal of each symbol that is spoken of, or of all that is held and known."""
    explained = asked.all("explain_decision")
    if not explained and (needs := missing(asked, *(Need("explain_decision", {"about": name}) for name in _symbols(asked)))):
        return needs
    told = []
    for fact in explained:
        refused = fact.values.get("last_refused") or fact.values.get("found")
        if not fact.available:
            told.append(cannot(fact, "why"))
        elif refused and refused.get("gate"):
            told.append(_refusal(fact, refused))
        else:
            told.append(f"Of {named(fact, str(fact.values['about']))} nothing was denied as far as the record shows.")
    return " ".join(told) or "Name the symbol, such as BTC, or the order, and I tell you what the gate said."


def _refusal(fact: Fact, trail: Mapping[str, Any]) -> str:
    gate = trail["gate"]
    what = f"The last {trail['side']} of {named(fact, str(trail['symbol']))} that was wanted ({amount(fact, trail['quantity'])})"
    if gate["verdict"] != "denied":
        return f"{what} was not denied: the gate said {gate['verdict'].replace('_', ' ')}."
    reasons = "; ".join(check(fact, one) for one in gate["failed"])
    return f"{what} was denied at {moment(fact, gate['at'])}: {reasons or 'the record names no check'}."


def _symbols(asked: Asked) -> list[str]:
    """Those that are spoken of; else those that are held."""
    held = [str(row["symbol"]) for row in asked.get("get_portfolio").values.get("holdings", [])]
    return _spoken_of(asked, goes_on=True) or held[:3]


def _spoken_of(asked: Asked, *, goes_on: bool) -> list[str]:
    """Those of the question; without any, those of the question before it if it goes on with that."""
    rows = asked.get("get_portfolio").values.get("holdings", [])
    currency = str(asked.get("get_portfolio").values.get("currency", ""))
    bases = {row["symbol"].partition("/")[0].lower(): row["symbol"] for row in rows}
    for question in (asked.words, asked.earlier) if goes_on else (asked.words,):
        pairs = re.findall(r"\b([a-z0-9]{2,10})/([a-z]{3,6})\b", question)
        found = [f"{base}/{quote}".upper() for base, quote in pairs]
        words = [ASSET_NAMES.get(word, word).lower() for word in re.findall(r"[a-z0-9]+", question)]
        found += [bases[word] for word in words if word in bases]
        found += [
            f"{word.upper()}/{currency}" for word in words if currency and word in ("btc", "eth", "sol", "xrp", "ada", "doge")
        ]
        if found:
            return list(dict.fromkeys(found))[:3]
    return []

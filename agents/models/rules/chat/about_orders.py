"""The account's orders, and orders that the operator wants: those go on cards, one each, and nothing is sent."""

from __future__ import annotations

import re

from agents.models.rules.chat.asked import Asked
from agents.models.rules.chat.elsewhere import asks_more
from agents.models.rules.chat.needs import Need, missing
from agents.models.rules.chat.speech import amount, cannot, moment, named, percent, said, verdict, wordy
from agents.models.rules.chat.wishes import Wish, sounds_like_an_order, wishes, would_pass_limits
from agents.models.rules.facts import Fact

STOP_IN_ATR = 2.0  # as for the desk's own entries: Faith, Way of the Turtle (2007)
_WANTS_IT_DONE = r"^(?:please |just |now )*(?:approve|confirm|submit|send|execute|place)\b"
_NOT_READ = (
    "I did not understand all of that as an order, so I made no card and nothing was sent. Name the size, such as: "
    "buy (amount) BTC stop (price), buy (amount) USDT of ETH, sell half of my ETH, close BTC, or sell everything."
)
_NOT_ALONE = (
    "I take an order only when the whole sentence is one, so I made no card and nothing was sent. Whatever else is said, the"
    " gate holds every order against the limits. Name the order by itself, such as: buy (amount) BTC stop (price)."
)
_LIMITS_STAY = "No limit is left aside, whoever asks: the gate holds this order against all of them."
_NOT_MINE = (
    "I cannot approve, confirm or send anything, whoever tells me to: nothing was sent. You confirm a card yourself, and an "
    "operator who may gives approvals: with `/approve` in `algotrendy chat`, for one."
)
_WOULD_TRADE = (
    r"\b(?:buy|sell|close)\b|\b(?:want|get me) [$€]?\d"
    r"|^(?:please |pls |just |now )*(?:go )?(?:(?:long|invest|reduce|trim)\b|put [$€]?\d)"
)
_OF_A_TIME = r"\byesterday|\btoday|\bhours?\b|\bweek|\bmonth|\bovernight|\bsince\b|\blast night"
_HOW_MANY = re.compile(r"\blast (\d{1,2})\b")
_MOST_ORDERS = 20


def answer(asked: Asked) -> str | list[Need]:
    if sounds_like_an_order(asked.words):
        wanted = wishes(asked.words)
        return _NOT_READ if wanted is None else _order(asked, wanted)
    if re.search(_WOULD_TRADE, asked.words):
        return _NOT_ALONE
    if re.search(_WANTS_IT_DONE, asked.words):
        return _NOT_MINE
    return _orders(asked)


def _order(asked: Asked, wanted: list[Wish]) -> str | list[Need]:
    portfolio = asked.get("get_portfolio")
    held = [str(row["symbol"]) for row in portfolio.values.get("holdings", [])]
    currency = str(portfolio.values.get("currency", "USDT"))
    each = [(symbol, wish) for wish in wanted for symbol in ([_symbol(wish.base, currency)] if wish.base else held)]
    if not each:
        return "Nothing is held, so there is nothing to sell, and I made no card."
    unstopped = [symbol for symbol, wish in each if wish.side == "buy" and wish.stop is None]
    if needs := missing(asked, *(Need("get_indicators", {"symbol": symbol}) for symbol in dict.fromkeys(unstopped))):
        return needs
    stops = {symbol: _stop(asked, symbol) for symbol in unstopped}
    cards = [_card(symbol, wish, stops.get(symbol)) for symbol, wish in each if wish.stop or wish.side == "sell" or stops[symbol]]
    if needs := missing(asked, *cards):
        return needs
    told = [_LIMITS_STAY] if would_pass_limits(asked.words) else []
    told += [_told(fact, stops) for fact in asked.all("propose_order")]
    told += [
        f"For {symbol} I know no ATR to put a stop by, and a buy needs one: name it, such as: stop at a price."
        for symbol, stop in stops.items()
        if stop is None
    ]
    return "\n".join(told)


def _symbol(base: str, currency: str) -> str:
    return base if "/" in base else f"{base}/{currency}"


def _indicators(asked: Asked, symbol: str) -> Fact | None:
    return next((fact for fact in asked.all("get_indicators") if fact.values.get("symbol") == symbol and fact.available), None)


def _stop(asked: Asked, symbol: str) -> str | None:
    """Two ATR below the last close; None when they are not known or that is no price."""
    facts = _indicators(asked, symbol)
    close, atr = (facts.number("last_close"), facts.number("atr_14")) if facts is not None else (None, None)
    if close is None or atr is None or close - STOP_IN_ATR * atr <= 0:
        return None
    return f"{close - STOP_IN_ATR * atr:.8g}"


def _card(symbol: str, wish: Wish, stop: str | None) -> Need:
    amounts = {
        "quantity": wish.quantity,
        "notional": wish.notional,
        "fraction": wish.fraction,
        "limit_price": wish.limit,
        "stop_price": wish.stop or stop,
        "take_profit": wish.target,
    }
    kind = "limit" if wish.limit else "market"
    given = {key: value for key, value in amounts.items() if value is not None}
    return Need("propose_order", {"symbol": symbol, "side": wish.side, "type": kind, **given})


def _told(fact: Fact, stops: dict[str, str | None]) -> str:
    """One card, exactly as it is."""
    if not fact.available:
        return f"I made no card: {wordy(str(fact.values.get('error')))} Nothing was sent."
    values = fact.values
    symbol = str(values["symbol"])
    name = named(fact, symbol)
    how = f"limit {amount(fact, values['limit_price'])}" if values["type"] == "limit" else "market"
    text = (
        f"I put this on a card: {values['side']} {amount(fact, values['quantity'])} {name}, {how},"
        f" worth about {amount(fact, values['worth_about'])}"
    )
    text += f", stop {amount(fact, values['stop_price'])}" if values["stop_price"] is not None else ""
    text += f", profit target {amount(fact, values['take_profit'])}" if values["take_profit"] is not None else ""
    text += "."
    if stops.get(symbol) is not None:
        text += " You named no stop, so I put it twice the ATR(14) below the last close."
    text += f" {verdict(fact, str(values['gate']), values['failed'])}"
    return f"{text} Nothing was sent: confirm the card before {moment(fact, values['expires_at'])} to place it."


def _orders(asked: Asked) -> str | list[Need]:
    orders = asked.get("get_orders")
    if asked.asks(r"\bslippage|\bquality") and (needs := missing(asked, Need("get_execution_quality"))):
        return needs
    wanted = {"limit": min(int(many[1]), _MOST_ORDERS)} if (many := _HOW_MANY.search(asked.words)) and int(many[1]) else {}
    if wanted and (needs := missing(asked, Need("get_orders", wanted))):
        return needs
    if not orders.available:
        return cannot(orders, "the orders")
    rows = orders.values["orders"]
    if not rows:
        return "There are no orders on record yet."
    if (named := asked.named) and not asks_more(asked.words):
        rows = [row for row in rows if str(row["symbol"]).partition("/")[0] in named]
        if not rows:
            return f"No order of {', '.join(named)} is among the newest."
    if asked.asks(r"\bopen\b|\bworking\b|\bstuck\b|\blive\b|\bpending\b"):
        rows = [row for row in rows if row["state"] in ("submitting", "open", "partially_filled", "unknown")]
        if not rows:
            return "None of the last orders is still working."
    told = [_row(orders, row) for row in rows]
    if asked.asks(_OF_A_TIME):
        told.append("These are the newest that there are, of whatever day; all are under `/orders` at the API.")
    return "\n".join(told)


def _row(fact: Fact, row: dict[str, object]) -> str:
    symbol = str(row["symbol"])
    name = named(fact, symbol)
    purpose = "protective stop" if row["purpose"] == "stop" else str(row["purpose"])
    state = str(row["state"]).replace("_", " ")
    text = f"{moment(fact, row['at'])}: {purpose}, {row['side']} {amount(fact, row['quantity'])} {name}, {state}"
    text += f", stop {amount(fact, row['stop_price'])}" if row["stop_price"] is not None else ""
    text += f", limit {amount(fact, row['limit_price'])}" if row["limit_price"] is not None else ""
    if row["average_price"] is not None:
        text += f", {amount(fact, row['filled'])} filled at {amount(fact, row['average_price'])}"
    if row["slippage"] is not None:
        text += f", slippage {percent(fact, row['slippage'])}"
    fees = row["fees"]
    if isinstance(fees, dict) and fees:
        text += f", fees {', '.join(amount(fact, paid, asset) for asset, paid in fees.items())}"
    text += "."
    if row["refused_because"]:
        text += f" It was refused: {said(fact, row['refused_because'])}"
    return text

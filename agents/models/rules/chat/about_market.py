"""Prices and indicators, and how the holdings are weighted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agents.models.rules.chat.asked import Asked
from agents.models.rules.chat.needs import Need, missing
from agents.models.rules.chat.speech import amount, cannot, moment, named, percent
from agents.models.rules.facts import Fact

_MOOD = r"\bsentiment|\bmood\b|\bnews\b|\bfear\b|\bgreed"
_CHAIN = r"\bon.?chain|\bwhale|\bflows?\b"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "rsi": ("RSI(14)", "rsi_14"),
    "atr": ("ATR(14)", "atr_14"),
    "adx": ("ADX(14)", "adx_14"),
    "macd": ("MACD histogram", "macd_histogram"),
    "volatil": ("volatility(20)", "realised_volatility_20", " % a year"),
    "support": ("20-bar low", "donchian_20_low"),
    "resistance": ("20-bar high", "donchian_20_high"),
    "over(?:bought|sold)": ("RSI(14)", "rsi_14"),
}
_LENGTH = r"\b\d+ ?(?:m|min|h|hours?|d|days?|w|weeks?)\b|\b(?:hourly|daily|weekly|monthly)\b"
_LEAST_TREND = 20.0  # ADX below this is no trend at all; Wilder


def answer(asked: Asked) -> str | list[Need]:
    symbols = list(dict.fromkeys(str(fact.values["symbol"]) for fact in asked.facts if "symbol" in fact.values))
    wanted = [name for pattern, name in ((_MOOD, "get_sentiment"), (_CHAIN, "get_onchain")) if asked.asks(pattern)]
    if wanted and (needs := missing(asked, *(Need(tool, {"symbol": symbol}) for tool in wanted for symbol in symbols))):
        return needs
    if wanted:
        told = [_readings(fact) for tool in wanted for fact in asked.all(tool)]
        return "\n".join(told) or "No symbol is known that I could tell that of."
    tickers = {str(fact.values.get("symbol")): fact for fact in asked.all("get_ticker")}
    indicators = {str(fact.values.get("symbol")): fact for fact in asked.all("get_indicators")}
    lines = [_market(asked, name, tickers.get(name), indicators.get(name)) for name in symbols]
    return "\n".join(lines) or cannot(asked.get("get_ticker"), "the price")


def _market(asked: Asked, symbol: str, ticker: Fact | None, indicators: Fact | None) -> str:
    parts = []
    if ticker is not None and ticker.available:
        values = ticker.values
        parts.append(
            f"{named(ticker, symbol)} last traded at {amount(ticker, values['last'])}, bid {amount(ticker, values['bid'])},"
            f" ask {amount(ticker, values['ask'])}, as of {moment(ticker, values['at'])}."
        )
    else:
        parts.append(f"{symbol}: no price is known now.")
    if indicators is None or not indicators.available:
        return " ".join([*parts, "There are no indicators for it yet."])
    wanted = [indicators.say(*name) for word, name in _NAMES.items() if re.search(rf"\b{word}", asked.words)]
    bars = f"These are of {named(indicators, str(indicators.values['timeframe']))} bars"
    bars += "; other lengths are not read in a conversation." if re.search(_LENGTH, asked.words) else "."
    return " ".join([*parts, f"{', '.join(wanted)}." if wanted else _trend(indicators), bars])


def _trend(facts: Fact) -> str:
    close, middle, slow = (facts.number(name) for name in ("last_close", "ema_50", "ema_200"))
    averages = "unclear"
    if close is not None and middle is not None and slow is not None:
        averages = "up" if close > middle > slow else "down" if close < middle < slow else "sideways"
    adx = facts.number("adx_14")
    strength = "" if adx is None else ", and weak" if adx < _LEAST_TREND else ", and strong"
    return (
        f"By its averages the trend is {averages}{strength if averages in ('up', 'down') else ''}:"
        f" {facts.say('close', 'last_close')}, {facts.say('EMA 50', 'ema_50')}, {facts.say('EMA 200', 'ema_200')},"
        f" {facts.say('ADX(14)', 'adx_14')}, {facts.say('RSI(14)', 'rsi_14')}."
    )


def _readings(fact: Fact) -> str:
    kind = "sentiment" if fact.tool == "get_sentiment" else "on-chain"
    symbol = str(fact.values.get("symbol", ""))
    if not fact.available:
        why = str(fact.values.get("why") or fact.values.get("error"))
        return f"There is no {kind} reading for {symbol}: {why.rstrip('.')}."
    rows = [f"{row['name']} by {row['source']} {amount(fact, row['value'], row['unit'])}" for row in fact.values["readings"]]
    return f"{kind.capitalize()} for {symbol}: {'; '.join(rows)}."


def weights(asked: Asked) -> str | list[Need]:
    """How the holdings are weighted, against their volatility."""
    portfolio, volatilities = asked.get("get_portfolio"), asked.get("get_volatilities")
    if not portfolio.available:
        return cannot(portfolio, "the weights")
    rows = portfolio.values["holdings"]
    if not rows and not asked.asks(r"\bcorrelat"):
        return f"Nothing is held: {percent(portfolio, portfolio.values['cash_weight'])} of equity is cash."
    text = "Weights in equity: " + ", ".join(f"{row['symbol']} {percent(portfolio, row['weight'])}" for row in rows)
    text += f", cash {percent(portfolio, portfolio.values['cash_weight'])}."
    held = volatilities.values.get("held", []) if volatilities.available else []
    known = [row for row in held if row.get("volatility")]
    if len(known) > 1:
        total = sum(1 / row["volatility"] for row in known)
        invested = sum(row["weight"] for row in known)
        far = [row for row in known if abs(invested / row["volatility"] / total - row["weight"]) >= 0.05]
        text += (
            " Volatilities a year: "
            + ", ".join(f"{row['symbol']} {amount(volatilities, row['volatility'])} %" for row in known)
            + "."
        )
        text += (
            f" Against equal risk these have drifted: {', '.join(row['symbol'] for row in far)}."
            if far
            else " They are near equal risk; changes would only cost fees."
        )
    if asked.asks(r"\bcorrelat"):
        if needs := missing(asked, Need("get_correlations")):
            return needs
        text = f"{_correlations(asked)} {text}"
    return text


def _correlations(asked: Asked) -> str:
    """Of the assets that are named, or of all."""
    fact = asked.get("get_correlations")
    if not fact.available:
        return cannot(fact, "the correlations")
    bases = set(asked.named)
    pairs = {pair: value for pair, value in fact.values["pairs"].items() if len(_bases(pair) & bases) == min(len(bases), 2)}
    if not pairs:
        return "No correlation is known of that."
    return f"Correlation of returns: {', '.join(f'{_pair(fact, pair)} {amount(fact, value)}' for pair, value in pairs.items())}."


def _bases(pair: str) -> set[str]:
    return {symbol.partition("/")[0] for symbol in pair.split("~")}


def _pair(fact: Fact, pair: str) -> str:
    return named(fact, pair.replace("~", " and "))

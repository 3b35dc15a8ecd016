"""Turtle-style trend following: enter on a 20-bar breakout or an oversold pullback in an up trend, stop at two ATR, leave on a
10-bar low.

Sources: Donchian channels and the 2N stop as published in Faith, *Way of the Turtle* (2007), system 1; RSI by Wilder (1978),
bought on weakness within an up trend as in Connors and Alvarez, *Short Term Trading Strategies That Work* (2008). A breakout
that volume does not confirm is worth half: Edwards and Magee, *Technical Analysis of Stock Trends* (1948).
"""

from __future__ import annotations

from agents.answers import Signal
from agents.models.rules.facts import Facts, finite, shown

STOP_IN_ATR = 2.0
ROUND_TRIP = 0.002  # of the price: fees and spread of buying and selling again
OVERSOLD, OVERBOUGHT = 35.0, 80.0
LEAST_TREND = 20.0  # ADX below this is no trend at all; Wilder
THIN = -2.0  # standard deviations of volume below its mean: hardly anybody takes part


def decide(facts: Facts) -> Signal:
    indicators, view = facts.get("get_indicators"), facts.get("get_market_view")
    ticker, position = facts.get("get_ticker"), facts.get("get_position")
    close, atr = indicators.number("last_close"), indicators.number("atr_14")
    if view.values.get("abstained") or view.values.get("abstain") or "error" in view.values:
        return _plain("abstain", "The market view abstained.")
    if (
        not (indicators.available and ticker.available and position.values.get("held") is not None)
        or close is None
        or atr is None
    ):
        return _plain("abstain", "Price, position or ATR(14) is missing.")
    trend, conviction = view.values.get("trend"), finite(view.values.get("confidence"))
    if trend not in ("up", "down", "sideways") or conviction is None:
        return _plain("abstain", "The market view is incomplete.")
    working = {order.get("purpose") for order in position.values.get("open_orders", [])}
    if position.values["held"]:
        if "exit" in working:
            return _plain("hold", "An exit order is already working.", conviction)
        low = indicators.number("donchian_10_low")
        if low is not None and close < low:
            reason = f"{indicators.say('Close', 'last_close')} fell through the 10-bar low {shown(low)} [{indicators.id}]."
            return _plain("exit", reason, conviction)
        if trend == "down":
            return _plain(
                "exit",
                f"The trend has turned down: {indicators.say('close', 'last_close')} lies below both averages.",
                conviction,
            )
        if low is None:
            return _plain("abstain", "The 10-bar low that a holding is judged by is missing.")
        return _plain(
            "hold",
            f"Held, and {indicators.say('close', 'last_close')} is not below the 10-bar low {shown(low)} [{indicators.id}].",
            conviction,
        )
    if "entry" in working:
        return _plain("hold", "An entry order is already working.", conviction)
    return _entry(facts, trend, conviction, close, atr)


def _entry(facts: Facts, trend: str, conviction: float, close: float, atr: float) -> Signal:
    indicators = facts.get("get_indicators")
    high, rsi, adx = (indicators.number(name) for name in ("donchian_20_high", "rsi_14", "adx_14"))
    if high is None or rsi is None or adx is None:
        return _plain("abstain", "The 20-bar high, RSI(14) or ADX(14) is missing.")
    if trend != "up":
        return _plain("hold", f"No entry without an up trend; the trend is {trend}.", conviction)
    stop = close - STOP_IN_ATR * atr
    if stop <= 0:
        return _plain("hold", f"Two ATR below the close is no price: {indicators.say('ATR(14)', 'atr_14')}.", conviction)
    if close - stop < ROUND_TRIP * close:
        return _plain("hold", f"A round trip costs more than two ATR: {indicators.say('ATR(14)', 'atr_14')}.", conviction)
    if rsi >= OVERBOUGHT:
        return _plain("hold", f"{indicators.say('RSI(14)', 'rsi_14')} is stretched.", conviction)
    if close > high and adx >= LEAST_TREND:
        why = f"Breakout: {indicators.say('close', 'last_close')} is above the 20-bar high {shown(high)} [{indicators.id}]"
        volume = indicators.number("volume_z_20")
        if volume is not None and volume < THIN:
            conviction /= 2
            why += f", on hardly any volume ({indicators.say('z-score', 'volume_z_20')})"
    elif rsi <= OVERSOLD:
        why = f"Pullback in an up trend: {indicators.say('RSI(14)', 'rsi_14')} at {indicators.say('close', 'last_close')}"
    else:
        return _plain(
            "hold",
            f"Up trend, but no trigger: {indicators.say('close', 'last_close')} against the 20-bar high {shown(high)} "
            f"[{indicators.id}], {indicators.say('RSI(14)', 'rsi_14')}.",
            conviction,
        )
    reason = f"{why}, with {indicators.say('ADX(14)', 'adx_14')}. Stop two times {indicators.say('ATR(14)', 'atr_14')} below."
    return Signal(
        action="enter",
        order_type="market",
        limit_price=None,
        stop_price=float(f"{stop:.8g}"),
        conviction=conviction,
        reason=reason,
    )


def _plain(action: str, reason: str, conviction: float = 0.0) -> Signal:
    return Signal.model_validate(
        {
            "action": action,
            "order_type": "market",
            "limit_price": None,
            "stop_price": None,
            "conviction": conviction,
            "reason": reason,
        }
    )

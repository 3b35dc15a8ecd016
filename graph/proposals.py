"""From what the agents want to exact intents. Plain rules: sizes come from here and from the core, never from a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from agents.answers import RebalancePlan, RiskVerdict, Signal
from agents.grounding import cited
from tools.context import Facts, number
from trading_core.domain.intents import TradeIntent, make_intent_id
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.domain.snapshot import Snapshot
from trading_core.risk.sizing import fixed_fractional

MOST_PAID_ABOVE_ASK = Decimal("0.005")  # a market entry is a limit order this far through the ask
LEAST_WEIGHT_CHANGE = Decimal("0.01")


def shown_to_risk(snapshot: Snapshot, signals: Mapping[str, Signal], plan: RebalancePlan | None) -> Facts:
    """What the risk agent reads of the proposals, each symbol once: rebalancing gives way to a signal."""
    rows: list[dict[str, object]] = []
    for symbol, signal in sorted(signals.items()):
        if signal.action not in ("enter", "exit"):
            continue
        price = snapshot.tickers[symbol].last
        row: dict[str, object] = {"symbol": symbol, "action": signal.action, "price": number(price)}
        if signal.action == "enter" and signal.stop_price is not None:
            distance = (price - Decimal(str(signal.stop_price))) / price * 100
            fees = 2 * snapshot.instruments[symbol].taker_fee * 100
            row |= {
                "stop_price": signal.stop_price,
                "stop_distance_percent": round(float(distance), 3),
                "round_trip_fees_percent": round(float(fees), 3),
            }
        rows.append({**row, "conviction": signal.conviction, "reason": signal.reason[:300]})
    acting = {row["symbol"] for row in rows}
    moves = [
        {"symbol": target.symbol, "from_weight": number(snapshot.weight(target.symbol)), "to_weight": target.weight}
        for target in (plan.targets if plan else [])
        if target.symbol in snapshot.symbols and target.symbol not in acting
    ]
    return {"signals": rows, "rebalancing": moves}


def shown_to_execution(snapshot: Snapshot, intents: Iterable[TradeIntent]) -> Facts:
    """What the execution agent reads of the approved orders."""
    rows = []
    for intent in intents:
        ticker = snapshot.tickers[intent.symbol]
        bars = snapshot.bars.get(intent.symbol, ())[-20:]
        volume = sum((bar.volume for bar in bars), ZERO) / len(bars) if bars else ZERO
        rows.append(
            {
                "symbol": intent.symbol,
                "side": intent.side.value,
                "purpose": intent.purpose.value,
                "quantity": number(intent.quantity),
                "last_price": number(ticker.last),
                "worst_price": number(intent.limit_price),
                "spread_bps": round(float((ticker.ask - ticker.bid) / ticker.mid * 10_000), 3),
                "share_of_bar_volume": float(f"{intent.quantity / volume:.4g}") if volume else None,
            }
        )
    return {"orders": rows}


class IntentMaker:
    """Makes the intents of one run. The same run, purpose and symbol always give the same id."""

    def __init__(self, run_id: str, account_id: str, snapshot: Snapshot, strategy: str = "") -> None:
        self._run_id, self._account_id, self._snapshot, self._strategy = run_id, account_id, snapshot, strategy

    def exit(self, symbol: str, signal: Signal, proposer: str) -> TradeIntent | None:
        """Sell all that is held; None when there is nothing but dust."""
        instrument = self._snapshot.instruments[symbol]
        quantity = instrument.floor_quantity(self._snapshot.portfolio.position(symbol).quantity)
        if instrument.is_dust(quantity, self._snapshot.tickers[symbol].last):
            return None
        blank = self._blank(symbol, Purpose.EXIT, Side.SELL, proposer)
        return replace(blank, quantity=quantity, type=OrderType.MARKET, reason=signal.reason, evidence=_cited(signal))

    def entry(
        self, symbol: str, signal: Signal, verdict: RiskVerdict, risk_limit: Decimal, proposer: str, caution: Decimal = ONE
    ) -> TradeIntent | None:
        """Buy as much as loses `risk_fraction` of equity at the stop, or the share of it that `caution` leaves; None when that is
        not a lot, or too little for a stop."""
        instrument, ticker = self._snapshot.instruments[symbol], self._snapshot.tickers[symbol]
        if signal.stop_price is None:
            return None
        if signal.order_type == "limit" and signal.limit_price is not None:
            limit, time_in_force = instrument.floor_price(Decimal(str(signal.limit_price))), TimeInForce.GTC
        else:
            limit, time_in_force = instrument.ceil_price(ticker.ask * (1 + MOST_PAID_ABOVE_ASK)), TimeInForce.IOC
        stop = instrument.floor_price(Decimal(str(signal.stop_price)))
        share = min(Decimal(str(verdict.risk_fraction)), risk_limit) * caution
        if share <= 0 or not 0 < stop < limit:
            return None
        equity = self._snapshot.portfolio.equity(self._snapshot.prices)
        quantity = instrument.floor_quantity(fixed_fractional(equity, share, limit, stop, instrument.taker_fee))
        # The venue values a stop at its own price, and the fee leaves less to sell: what it would not take protects nothing.
        if quantity <= 0 or instrument.is_dust(quantity * (1 - instrument.taker_fee), stop):
            return None
        return replace(
            self._blank(symbol, Purpose.ENTRY, Side.BUY, proposer),
            quantity=quantity,
            type=OrderType.LIMIT,
            limit_price=limit,
            worst_price=limit,
            stop_price=stop,
            time_in_force=time_in_force,
            reason=signal.reason,
            evidence=_cited(signal),
        )

    def rebalance(self, symbol: str, weight: float, proposer: str, reason: str) -> TradeIntent | None:
        """The trade that brings a holding to its target weight; None when it is too small, or a buy without a stop to share."""
        snapshot = self._snapshot
        instrument, ticker = snapshot.instruments[symbol], snapshot.tickers[symbol]
        position = snapshot.portfolio.position(symbol)
        equity = snapshot.portfolio.equity(snapshot.prices)
        change = Decimal(str(weight)) - snapshot.weight(symbol)
        quantity = instrument.floor_quantity(abs(change) * equity / ticker.last)
        if abs(change) < LEAST_WEIGHT_CHANGE or position.quantity <= 0 or instrument.is_dust(quantity, ticker.last):
            return None
        if change < 0:
            blank = self._blank(symbol, Purpose.REBALANCE, Side.SELL, proposer)
            return replace(blank, quantity=min(quantity, position.quantity), type=OrderType.MARKET, reason=reason)
        stops = [o.request.stop_price for o in snapshot.open_orders if o.symbol == symbol and o.purpose is Purpose.STOP]
        stop = max((price for price in stops if price is not None), default=None)
        if stop is None:
            return None
        limit = instrument.ceil_price(ticker.ask * (1 + MOST_PAID_ABOVE_ASK))
        return replace(
            self._blank(symbol, Purpose.REBALANCE, Side.BUY, proposer),
            quantity=quantity,
            type=OrderType.LIMIT,
            limit_price=limit,
            worst_price=limit,
            stop_price=stop,
            time_in_force=TimeInForce.IOC,
            reason=reason,
        )

    def _blank(self, symbol: str, purpose: Purpose, side: Side, proposer: str) -> TradeIntent:
        return TradeIntent(
            intent_id=make_intent_id(self._run_id, purpose, symbol),
            run_id=self._run_id,
            account_id=self._account_id,
            proposer=proposer,
            purpose=purpose,
            symbol=symbol,
            side=side,
            quantity=ZERO,
            type=OrderType.MARKET,
            created_at=self._snapshot.as_of,
            strategy=self._strategy,
        )


def _cited(signal: Signal) -> tuple[str, ...]:
    return tuple(cited([signal.reason]))

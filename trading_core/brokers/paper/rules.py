"""What a paper fill costs: delay, market impact, a little bad luck, and a limit on how much of a bar one account may be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading_core.domain.errors import ConfigurationError
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Side


@dataclass(frozen=True, slots=True)
class PaperRules:
    """How unkind the paper exchange is. Every setting can only cost the trader money or time.

    Attributes:
        latency: from the desk to the venue, for orders and for cancels.
        participation: share of a bar's base volume that the account may trade on one side of one market in one bar, (0, 1].
        impact_coefficient: relative price move of trading a whole bar's volume. An order of quantity Q in a bar of volume V
            moves the price by `impact_coefficient * sqrt(Q / V)`: the square-root law of Tóth et al., "Anomalous price impact
            and the critical nature of liquidity in financial markets", Physical Review X 1, 021006 (2011), found on Bitcoin by
            Donier and Bonart, "A Million Metaorder Analysis of Market Impact on the Bitcoin" (2015). There it is the volatility
            over the time in which V trades, times a constant near one; the default is about a day's volatility of BTC and
            therefore strict for shorter bars.
        jitter: largest relative price loss added to a taking order at random, drawn from `seed` and the order's id alone.
        market_buffer: relative margin over the ask (or the stop price) that a buy without a limit locks in quote.
        late_arrival: share of a bar after whose passing a limit order that arrives is not filled in that bar, since the
            price may have been there before the order was.
        assumed_half_spread: relative half spread where the feed has no quote for a past instant (a live feed has none).
        seed: of the jitter.
    """

    latency: timedelta = timedelta(milliseconds=250)
    participation: Decimal = Decimal("0.1")
    impact_coefficient: Decimal = Decimal("0.03")
    jitter: Decimal = Decimal("0.0001")
    market_buffer: Decimal = Decimal("0.05")
    late_arrival: Decimal = Decimal("0.01")
    assumed_half_spread: Decimal = Decimal("0.0005")
    seed: int = 0

    def __post_init__(self) -> None:
        if self.latency < timedelta(0):
            raise ConfigurationError(f"paper latency {self.latency} is below zero")
        for name in ("participation", "impact_coefficient", "jitter", "market_buffer", "late_arrival", "assumed_half_spread"):
            value: Decimal = getattr(self, name)
            if not value.is_finite() or not ZERO <= value <= ONE:
                raise ConfigurationError(f"paper rule {name} is {value}, and must lie between 0 and 1")
        if not self.participation:
            raise ConfigurationError("paper rule participation is 0: no order could ever fill")

    def slippage(self, quantity: Decimal, volume: Decimal, client_order_id: str) -> Decimal:
        """Fraction of the price lost by taking `quantity` where a bar trades `volume` (both base, above zero)."""
        return self.impact_coefficient * (quantity / volume).sqrt() + self._luck(client_order_id) * self.jitter

    def taking_price(
        self,
        instrument: Instrument,
        side: Side,
        touch: Decimal,
        *,
        quantity: Decimal,
        volume: Decimal,
        client_order_id: str,
    ) -> Decimal:
        """What a taking order gets when the other side of the book starts at `touch`, rounded to a tick against the trader."""
        loss = self.slippage(quantity, volume, client_order_id)
        if side is Side.BUY:
            return instrument.ceil_price(touch * (ONE + loss))
        return max(instrument.tick_size, instrument.floor_price(touch * (ONE - loss)))

    def _luck(self, client_order_id: str) -> Decimal:
        """Uniform in [0, 1); the same order always has the same luck, in whatever order the calls come."""
        draw = hashlib.sha256(f"{self.seed}|{client_order_id}".encode()).digest()[:8]
        return Decimal(int.from_bytes(draw, "big")) / Decimal(2**64)

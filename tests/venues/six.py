"""The local venues by ccxt's name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.venues.binance import LOCAL as BINANCE
from tests.venues.bybit import LOCAL as BYBIT
from tests.venues.coinbase import LOCAL as COINBASE
from tests.venues.cryptocom import LOCAL as CRYPTOCOM
from tests.venues.kraken import LOCAL as KRAKEN
from tests.venues.local import LocalVenue
from tests.venues.okx import LOCAL as OKX

SIX: Mapping[str, LocalVenue] = {kind.profile.venue: kind for kind in (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)}

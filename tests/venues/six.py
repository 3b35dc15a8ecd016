"""The local venues by ccxt's name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.venues.binance import LOCAL as BINANCE
from tests.venues.kraken import LOCAL as KRAKEN
from tests.venues.local import LocalVenue

SIX: Mapping[str, LocalVenue] = {kind.profile.venue: kind for kind in (BINANCE, KRAKEN)}

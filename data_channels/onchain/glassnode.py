"""Glassnode: daily metrics of a chain's use and of its holders. Paid; the key goes in a header and never in the address.

`GET /v1/metrics/<category>/<metric>?a=<asset>&i=24h&s=<from>` (https://docs.glassnode.com/basic-api/api), one request for each
metric and asset. Readings, each of one whole UTC day:

| name | unit | metric |
| --- | --- | --- |
| `active_addresses` | `count` | `addresses/active_count`: addresses that sent or received |
| `exchange_inflow` | the asset, as `BTC` | `transactions/transfers_volume_to_exchanges_sum` |
| `exchange_outflow` | the asset | `transactions/transfers_volume_from_exchanges_sum` |
| `mvrv` | `ratio` | `market/mvrv`: market value over the value at which coins last moved |

The time of a point is the start of its day (https://docs.glassnode.com/data/timestamps-and-resolutions): it is observed when
the day ends, and a day that has not ended is left out. The service does not say when it publishes a day. It counts as published
two hours after its end, or when the desk got it, whichever is earlier, so that a replay never knows it too soon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import SecretStr

from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.symbols import known_by
from trading_core.domain.market import Reading

BASE_URL = "https://api.glassnode.com"
DAY = timedelta(days=1)
PUBLISHED_AFTER = timedelta(hours=2)
_LOOK_BACK = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Metric:
    """`unit` is empty where the value counts the asset itself."""

    name: str
    path: str
    unit: str


METRICS = (
    Metric("active_addresses", "/v1/metrics/addresses/active_count", "count"),
    Metric("exchange_inflow", "/v1/metrics/transactions/transfers_volume_to_exchanges_sum", ""),
    Metric("exchange_outflow", "/v1/metrics/transactions/transfers_volume_from_exchanges_sum", ""),
    Metric("mvrv", "/v1/metrics/market/mvrv", "ratio"),
)

ASSETS = {asset: asset for asset in ("BTC", "ETH")}
"""The assets that have all of these metrics."""


class Glassnode:
    """The source of daily chain metrics. The smallest plan has 50 requests a day; four times a day for two assets are 32."""

    name = "glassnode"
    kind = Kind.ONCHAIN
    pace = Pace(every=timedelta(hours=6), stale_after=timedelta(hours=36), per_minute=600, timeout=60.0)

    def __init__(self, key: SecretStr | None, *, base_url: str = BASE_URL, timeout: float = 15.0) -> None:
        self.wants = "" if key else "glassnode-api-key"
        self._service = JsonService(self.name, base_url, secret_headers={"X-Api-Key": key} if key else {}, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """The newest whole day of each metric. One that has none in the last days has no reading."""
        assets = known_by(symbols, ASSETS)
        newest = {
            (asset, metric): await self._newest(asset, metric, now)
            for asset in sorted(set(assets.values()))
            for metric in METRICS
        }
        return [
            Reading(self.name, symbol, metric.name, value, metric.unit or asset, day_end, min(now, day_end + PUBLISHED_AFTER))
            for symbol, asset in assets.items()
            for metric in METRICS
            if (point := newest[asset, metric]) is not None
            for day_end, value in [point]
        ]

    async def _newest(self, asset: str, metric: Metric, now: datetime) -> tuple[datetime, Decimal] | None:
        since = int((now - _LOOK_BACK).timestamp())
        answer = await self._service.get(metric.path, {"a": asset, "i": "24h", "s": str(since), "f": "json"}, now=now)
        days = [(point.field("t").instant() + DAY, point.field("v").number()) for point in answer.items()]
        return max((day for day in days if day[0] <= now), default=None)

    async def close(self) -> None:
        await self._service.close()

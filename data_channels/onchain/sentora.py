"""Sentora, formerly IntoTheBlock: off unless an address is configured.

IntoTheBlock and Trident Digital became Sentora in May 2025, a service for institutions. No documentation of a public API is
left, and none of the old address may be relied on. A desk that has access gives the address that serves the one known shape,
`GET <address>/<ASSET>` with `{"summary": {"bullish": n, "neutral": n, "bearish": n, ...}}`; any other answer is an error, and
nothing is read from it. Reading:

| name | unit | what |
| --- | --- | --- |
| `signal_balance` | `score` | (bullish − bearish) / all signals; its count is the number of signals |

The answer has no time: a value is observed and published when it was got. Its quality is 0.5: how the signals are made is not
documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import SecretStr

from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.symbols import known_by
from trading_core.domain.market import Reading

ASSETS = {asset: asset for asset in ("ADA", "BTC", "BCH", "DOGE", "ETH", "LINK", "LTC", "UNI")}
QUALITY = Decimal("0.5")


class Sentora:
    """The source of signal counts.

    Args:
        base_url: where the desk's own access to it is; None leaves the source off.
        key: sent as a bearer token, where that address wants one.
    """

    name = "sentora"
    kind = Kind.ONCHAIN
    pace = Pace(every=timedelta(hours=1), stale_after=timedelta(hours=6), per_minute=10, timeout=60.0)

    def __init__(self, base_url: str | None = None, key: SecretStr | None = None, *, timeout: float = 15.0) -> None:
        self.wants = "" if base_url else "sentora-base-url"
        headers = {"Authorization": SecretStr(f"Bearer {key.get_secret_value()}")} if key else {}
        self._service = JsonService(self.name, base_url, secret_headers=headers, timeout=timeout) if base_url else None

    @property
    def requests(self) -> int:
        return self._service.requests if self._service else 0

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """One request for each asset; none of an asset without any signal."""
        assets = known_by(symbols, ASSETS)
        if self._service is None:
            return ()
        balances = {asset: await self._balance(self._service, asset, now) for asset in sorted(set(assets.values()))}
        return [
            Reading(self.name, symbol, "signal_balance", balance[0], "score", now, now, QUALITY, balance[1])
            for symbol, asset in assets.items()
            if (balance := balances[asset]) is not None
        ]

    async def _balance(self, service: JsonService, asset: str, now: datetime) -> tuple[Decimal, int] | None:
        summary = (await service.get(f"/{asset}", now=now)).field("summary")
        bullish, neutral, bearish = (summary.field(side).count() for side in ("bullish", "neutral", "bearish"))
        signals = bullish + neutral + bearish
        return (Decimal(bullish - bearish) / signals, signals) if signals > 0 else None

    async def close(self) -> None:
        if self._service is not None:
            await self._service.close()

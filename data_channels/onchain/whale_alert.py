"""Whale Alert: large transfers to and from exchanges, read block by block. Paid; version 2 of its REST interface.

`GET /{blockchain}/status` tells the newest height, `GET /{blockchain}/transactions?start_height=…&symbol=…` the transactions
from there on, page by page (https://developer.whale-alert.io/documentation/). Version 1, which listed large transfers of all
chains, is deprecated. The key goes into the query, as the service wants it, below everything that logs or fails. Readings, over
the chain's window (bitcoin about an hour, for example):

| name | unit | what |
| --- | --- | --- |
| `exchange_inflow_<window>` | `USD` | sum of the large transfers to exchanges |
| `exchange_deposits_<window>` | `count` | how many they were |
| `exchange_outflow_<window>` | `USD` | sum of the large transfers from exchanges |
| `exchange_withdrawals_<window>` | `count` | how many they were |

Large is a million dollars and more, at the price that the service gives with the transaction. What a transaction moves is taken
net for each exchange, so that change, and coins that an exchange sends to itself, count as nothing.

`observed_at` is the time of the newest block. A window too busy to be read in `MAX_PAGES` is read in part: the sums are of what
was read, never scaled up, and the quality is the share of the window's blocks that was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import httpx
from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.symbols import base_of, known_by
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

BASE_URL = "https://leviathan.whale-alert.io"
LARGE = Decimal(1_000_000)  # USD
PAGE = 100  # transactions
MAX_PAGES = 100  # of one chain in one round; each is one of the plan's thousand requests a minute


@dataclass(frozen=True, slots=True)
class Chain:
    """`blocks` are about the time that `window` says."""

    name: str
    blocks: int
    window: str


CHAINS = {
    "BCH": Chain("bitcoincash", 6, "1h"),
    "BTC": Chain("bitcoin", 3, "30m"),
    "DOGE": Chain("dogecoin", 60, "1h"),
    "ETH": Chain("ethereum", 25, "5m"),
    "LTC": Chain("litecoin", 24, "1h"),
}
"""Chains whose window can be read in `MAX_PAGES`. Solana and Tron have more transactions in a minute than that."""


@dataclass(slots=True)
class _Flows:
    """What a chain's window held."""

    deposits: list[Decimal] = field(default_factory=list)
    withdrawals: list[Decimal] = field(default_factory=list)
    newest: datetime | None = None
    whole: bool = False

    def add(self, transaction: Node, symbol: str, end: int) -> None:
        """Count what exchanges got and gave in it; nothing of a block that came after `end`, while the window was read."""
        if transaction.field("height").count() > end:
            return
        at = transaction.field("timestamp").instant()
        self.newest = at if self.newest is None else max(self.newest, at)
        for part in transaction.field("sub_transactions").items():
            kind = part.optional("transaction_type")
            if part.field("symbol").text().upper() != symbol or (kind is not None and kind.text() != "transfer"):
                continue
            price = part.field("unit_price_usd").number()
            for moved in _net(part).values():
                if abs(moved) * price >= LARGE:
                    (self.deposits if moved > 0 else self.withdrawals).append(abs(moved) * price)


class WhaleAlert:
    """The source of large transfers."""

    name = "whale-alert"
    kind = Kind.ONCHAIN
    pace = Pace(every=timedelta(minutes=10), stale_after=timedelta(hours=2), per_minute=1000, timeout=120.0)

    def __init__(self, key: SecretStr | None, *, base_url: str = BASE_URL, timeout: float = 15.0) -> None:
        self.wants = "" if key else "whale-alert-api-key"
        self._service = JsonService(self.name, base_url, secret_params={"api_key": key} if key else {}, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """The windows of the chains that these symbols are on, one chain after the other."""
        known = known_by(symbols, {asset: asset for asset in CHAINS})
        windows = {asset: await self._window(asset, CHAINS[asset], now) for asset in sorted(set(known.values()))}
        return [
            reading
            for symbol, asset in known.items()
            for flows, quality in [windows[asset]]
            for reading in self._readings(symbol, flows, quality, now)
        ]

    async def close(self) -> None:
        await self._service.close()

    async def _window(self, asset: str, chain: Chain, now: datetime) -> tuple[_Flows, Decimal]:
        status = await self._service.get(f"/{chain.name}/status", now=now)
        end = status.field("end_height").count()
        start = max(0, end - chain.blocks + 1)
        flows = _Flows()
        height, index = start, 0
        for _ in range(MAX_PAGES):
            page = {"start_height": str(height), "start_index": str(index), "limit": str(PAGE)}
            answer = await self._service.get(
                f"/{chain.name}/transactions", {**page, "symbol": asset, "transaction_type": "transfer"}, now=now
            )
            transactions = answer.field("transactions").items()
            for transaction in transactions:
                flows.add(transaction, asset, end)
            following = _following(answer)
            # After the newest block the service goes on with an address where later ones will be.
            if following is None or following[0] > end or not transactions:
                flows.whole = True
                break
            if following <= (height, index):
                raise ChannelUnavailable(f"{self.name}: the next page is not after this one", not_done="Nothing was counted")
            height, index = following
        # The block it stopped in may have been read in part.
        read = end - start + 1 if flows.whole else max(0, height - start)
        return flows, Decimal(read) / (end - start + 1)

    def _readings(self, symbol: str, flows: _Flows, quality: Decimal, now: datetime) -> Iterator[Reading]:
        window = CHAINS[base_of(symbol)].window
        # Without any transaction in the window nothing happened up to now. A block may be dated a little ahead.
        at = min(flows.newest or now, now)
        for flow, times, moved in (
            ("exchange_inflow", "exchange_deposits", flows.deposits),
            ("exchange_outflow", "exchange_withdrawals", flows.withdrawals),
        ):
            count = len(moved)
            total = sum(moved, Decimal(0))
            yield Reading(self.name, symbol, f"{flow}_{window}", total, "USD", at, now, quality, count)
            yield Reading(self.name, symbol, f"{times}_{window}", Decimal(count), "count", at, now, quality, count)


def _net(part: Node) -> dict[str, Decimal]:
    """What each exchange got out of it, in coins: below zero for what left it."""
    moved: dict[str, Decimal] = {}
    for side, sign in (("inputs", -1), ("outputs", 1)):
        listed = part.optional(side)
        for account in listed.items() if listed else ():
            kind = account.optional("owner_type")
            if kind is not None and kind.text() == "exchange":
                owner = account.field("owner").text()
                moved[owner] = moved.get(owner, Decimal(0)) + sign * account.field("amount").number()
    return moved


def _following(answer: Node) -> tuple[int, int] | None:
    """Height and index at which the next page begins, from the address the service gives for it; None where there is none.

    Only the two numbers are taken: an answer must not choose the host that the key is sent to.
    """
    told = answer.optional("next")
    if told is None or not told.text():
        return None
    try:
        params = httpx.URL(told.text()).params
        return int(params["start_height"]), int(params.get("start_index", "0"))
    except (httpx.InvalidURL, KeyError, ValueError) as error:
        raise ChannelUnavailable(
            "whale-alert: the address of the next page does not say where it begins", not_done="Nothing was counted"
        ) from error

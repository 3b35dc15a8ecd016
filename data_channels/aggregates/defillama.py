"""DeFiLlama: what is locked in a chain's applications, and how many dollars exist as stablecoins.

No key. Two requests for all symbols: `GET /v2/chains` of https://api.llama.fi and `GET /stablecoinchains` of
https://stablecoins.llama.fi (https://defillama.com/docs/api). Readings:

| name | unit | what |
| --- | --- | --- |
| `chain_tvl` | `USD` | value locked in the applications of the asset's chain |
| `chain_stablecoins` | `USD` | stablecoins of every peg that circulate on the asset's chain |
| `stablecoin_supply` | `USD` | the same over all chains: one number for the market, told with each symbol |

Only assets that pay for a chain are known. The answers carry no time: a value is observed and published when it was got. The
service renews these totals about hourly and documents no limit for its free hosts, so that it is asked gently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.symbols import known_by
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

API_URL = "https://api.llama.fi"
STABLECOINS_URL = "https://stablecoins.llama.fi"
CHAINS_PATH = "/v2/chains"
STABLECOINS_PATH = "/stablecoinchains"

CHAINS = {
    "ADA": "Cardano",
    "ALGO": "Algorand",
    "APT": "Aptos",
    "ARB": "Arbitrum",
    "AVAX": "Avalanche",
    "BNB": "BSC",
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "NEAR": "Near",
    "OP": "OP Mainnet",
    "SOL": "Solana",
    "SUI": "Sui",
    "TON": "TON",
    "TRX": "Tron",
    "XRP": "XRPL",
}
"""The service's name of the chain that an asset pays for."""


class DefiLlama:
    """The source of value locked and stablecoins.

    Args:
        base_url: of the chains.
        stablecoins_url: of the stablecoins.
    """

    name = "defillama"
    kind = Kind.ONCHAIN
    pace = Pace(every=timedelta(minutes=30), stale_after=timedelta(hours=3), per_minute=10)
    wants = ""

    def __init__(self, *, base_url: str = API_URL, stablecoins_url: str = STABLECOINS_URL, timeout: float = 15.0) -> None:
        self._chains = JsonService(self.name, base_url, timeout=timeout)
        self._stablecoins = JsonService(self.name, stablecoins_url, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._chains.requests + self._stablecoins.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """Two requests, one after the other: an answer that is only half there is none."""
        chains = known_by(symbols, CHAINS)
        if not chains:
            return ()
        locked = _by_name(await self._chains.get(CHAINS_PATH, now=now), "tvl")
        answer = await self._stablecoins.get(STABLECOINS_PATH, now=now)
        circulating = {chain.field("name").text(): _circulating(chain) for chain in answer.items()}
        if not locked or not circulating:
            # Every chain cannot be gone: a sum over nothing would be told as a market without a dollar in it.
            raise ChannelUnavailable(f"{self.name}: a list of chains is empty", not_done="Nothing of it was used")
        total = sum(circulating.values(), Decimal(0))
        return [
            Reading(self.name, symbol, name, value, "USD", now, now)
            for symbol, chain in chains.items()
            for name, value in _values(chain, locked, circulating, total)
        ]

    async def close(self) -> None:
        await self._chains.close()
        await self._stablecoins.close()


def _values(
    chain: str, locked: dict[str, Decimal], circulating: dict[str, Decimal], total: Decimal
) -> Iterator[tuple[str, Decimal]]:
    if chain in locked:
        yield "chain_tvl", locked[chain]
    if chain in circulating:
        yield "chain_stablecoins", circulating[chain]
    yield "stablecoin_supply", total


def _by_name(answer: Node, field: str) -> dict[str, Decimal]:
    return {chain.field("name").text(): chain.field(field).number() for chain in answer.items()}


def _circulating(chain: Node) -> Decimal:
    """Over the pegs: dollars, euros and others, each already told in dollars."""
    return sum((peg.number() for peg in chain.field("totalCirculatingUSD").values()), Decimal(0))

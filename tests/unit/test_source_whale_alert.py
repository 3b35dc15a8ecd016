"""Whale Alert over real HTTP: what exchanges got and gave in a window of blocks, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.onchain import whale_alert
from data_channels.onchain.whale_alert import CHAINS, WhaleAlert, _net
from tests.channels.faults import Fault
from tests.channels.server import Call, ServiceServer
from tests.unit.source_cases import EVERY_FAULT, KEY, TIMEOUT, check, stands
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
END = 900_000
START = END - CHAINS["BTC"].blocks + 1
PRICE = 100_000
TRANSACTIONS = "/bitcoin/transactions"


def account(amount: object, owner: str = "", kind: str = "unknown") -> dict[str, object]:
    return {"amount": str(amount), "address": "a", "owner": owner, "owner_type": kind, "address_type": "", "balance": "0"}


def exchange(amount: object, owner: str = "binance") -> dict[str, object]:
    return account(amount, owner, "exchange")


def moved(inputs: Sequence[object], outputs: Sequence[object], *, height: int = END, **more: object) -> dict[str, object]:
    part = {"symbol": "BTC", "unit_price_usd": PRICE, "transaction_type": "transfer", "inputs": inputs, "outputs": outputs}
    at = NOW - timedelta(minutes=10 * (END - height + 1))
    return {"height": height, "timestamp": int(at.timestamp()), "hash": "0x", "sub_transactions": [{**part, **more}]}


class Blocks:
    """The service's pages over a list of transactions, in order of height."""

    def __init__(self, transactions: Sequence[dict[str, object]], *, base: str = "https://elsewhere.test") -> None:
        self.transactions, self.base = transactions, base

    def __call__(self, call: Call) -> object:
        height, index, limit = (int(call.params[name]) for name in ("start_height", "start_index", "limit"))
        in_block: dict[object, int] = {}
        placed = []
        for transaction in self.transactions:
            at = transaction["height"]
            placed.append((at, in_block.setdefault(at, 0), transaction))
            in_block[at] += 1
        page = [entry for entry in placed if (entry[0], entry[1]) >= (height, index)][:limit]
        last, at = (page[-1][0], page[-1][1] + 1) if page else (height, index)
        following = f"{self.base}/bitcoin/transactions?start_height={last}&start_index={at}&limit={limit}&api_key=theirs"
        return {"transactions": [entry[2] for entry in page], "next": following}


@pytest.fixture(scope="module")
def running() -> Iterator[ServiceServer]:
    with ServiceServer() as server:
        yield server


@pytest.fixture
def server(running: ServiceServer) -> ServiceServer:
    status = {"start_height": 1, "end_height": END, "block_count": END}
    running.reset({"/bitcoin/status": status, TRANSACTIONS: Blocks([moved([account(20)], [exchange(20)])])})
    return running


def made(server: ServiceServer) -> WhaleAlert:
    return WhaleAlert(SecretStr(KEY), base_url=server.base_url, timeout=TIMEOUT)


async def fetched(server: ServiceServer, transactions: Sequence[dict[str, object]]) -> dict[str, Reading]:
    server.answers[TRANSACTIONS] = Blocks(transactions)
    source = made(server)
    readings = await source.fetch(["BTC/USDT", "XRP/USDT"], now=NOW)
    await source.close()
    check(readings, source, ["BTC/USDT"], NOW)
    return {entry.name: entry for entry in readings}


def values(readings: dict[str, Reading]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    names = ("exchange_inflow_30m", "exchange_deposits_30m", "exchange_outflow_30m", "exchange_withdrawals_30m")
    first, second, third, fourth = (readings[name].value for name in names)
    return first, second, third, fourth


async def test_large_transfers_to_and_from_exchanges_are_counted_and_summed_in_dollars(server: ServiceServer) -> None:
    readings = await fetched(
        server,
        [
            moved([account(20)], [exchange(20)], height=START),
            moved([account("10.5")], [exchange("10.5", "kraken")], height=START + 1),
            moved([exchange(30)], [account(30)]),
            moved([account("9.99")], [exchange("9.99")]),  # below a million
            moved([account(500)], [account(500)]),  # no exchange
            moved([exchange(500)], [exchange("499.99")]),  # to itself
            moved([exchange(100, "binance")], [exchange(100, "kraken")]),  # out of one and into the other
            moved([exchange(100)], [account(60), exchange(40)]),  # the rest is change
            moved([account(20)], [exchange(20)], symbol="USDT"),
            moved([], [exchange(20)], transaction_type="mint"),
        ],
    )
    assert values(readings) == (
        Decimal(20 + 100) * PRICE + Decimal("10.5") * PRICE,
        Decimal(3),
        Decimal(30 + 100 + 60) * PRICE,
        Decimal(3),
    )
    assert {entry.unit for name, entry in readings.items() if "flow" in name} == {"USD"}
    assert {entry.count for entry in readings.values()} == {3}
    assert {(entry.observed_at, entry.published_at) for entry in readings.values()} == {(NOW - timedelta(minutes=10), NOW)}
    assert {entry.quality for entry in readings.values()} == {Decimal(1)}


async def test_every_page_is_read_and_none_twice_and_the_key_goes_to_no_other_host(server: ServiceServer) -> None:
    many = [moved([account(10)], [exchange(10)], height=START + index // 100) for index in range(250)]
    readings = await fetched(server, many)
    assert values(readings)[:2] == (Decimal(250 * 10 * PRICE), Decimal(250))
    asked = [call.params for call in server.seen if call.path == TRANSACTIONS]
    assert [(int(page["start_height"]) - START, int(page["start_index"])) for page in asked] == [
        (0, 0),
        (0, 100),
        (1, 100),
        (2, 50),
    ]
    assert {page["api_key"] for page in asked} == {KEY}


async def test_a_window_that_is_too_busy_is_told_in_part_and_its_quality_says_so(
    server: ServiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whale_alert, "MAX_PAGES", 2)
    many = [moved([account(10)], [exchange(10)], height=START + index // 150) for index in range(400)]
    readings = await fetched(server, many)
    assert values(readings)[1] == 200
    assert {entry.quality for entry in readings.values()} == {Decimal(1) / 3}


async def test_blocks_that_come_while_it_reads_are_not_in_the_window(server: ServiceServer) -> None:
    readings = await fetched(server, [moved([account(10)], [exchange(10)], height=END + index) for index in (0, 1, 2)])
    assert values(readings)[1] == 1


async def test_a_quiet_window_is_no_transfer_and_not_no_reading(server: ServiceServer) -> None:
    readings = await fetched(server, [])
    assert values(readings) == (0, 0, 0, 0)
    assert {(entry.observed_at, entry.count) for entry in readings.values()} == {(NOW, 0)}


async def test_a_block_dated_ahead_was_known_when_it_was_got(server: ServiceServer) -> None:
    ahead = moved([account(10)], [exchange(10)])
    ahead["timestamp"] = int((NOW + timedelta(minutes=50)).timestamp())
    readings = await fetched(server, [ahead])
    assert {entry.observed_at for entry in readings.values()} == {NOW}


async def test_without_a_key_it_is_off_and_names_it() -> None:
    source = WhaleAlert(None)
    assert source.wants == "whale-alert-api-key"
    await source.close()


@pytest.mark.parametrize(
    ("following", "words"),
    [
        ("https://x.test/?a=1", "does not say where it begins"),
        ("https://x.test/?start_height=many", "does not say where it begins"),
        (f"/?start_height={START}&start_index=0", "the next page is not after this one"),
    ],
)
async def test_a_next_page_that_leads_nowhere_ends_the_round(server: ServiceServer, following: str, words: str) -> None:
    server.answers[TRANSACTIONS] = {"transactions": [moved([account(20)], [exchange(20)])], "next": following}
    source = made(server)
    with pytest.raises(ChannelUnavailable, match=words):
        await source.fetch(["BTC/USDT"], now=NOW)
    await source.close()


@pytest.mark.parametrize("path", ["/bitcoin/status", TRANSACTIONS])
@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: fault.name)
async def test_every_fault(fault: Fault, path: str, server: ServiceServer) -> None:
    await stands(fault, server, lambda: made(server), ["BTC/USDT"], NOW, path=path)


amounts = st.decimals(0, 1000, places=4)
accounts = st.lists(st.tuples(amounts, st.sampled_from(["binance", "kraken", ""])), max_size=6)


@given(accounts, accounts)
def test_what_exchanges_get_less_what_they_give_is_what_they_net(
    inputs: list[tuple[Decimal, str]], outputs: list[tuple[Decimal, str]]
) -> None:
    def listed(side: list[tuple[Decimal, str]]) -> list[object]:
        return [exchange(amount, owner) if owner else account(amount) for amount, owner in side]

    part = Node({"inputs": listed(inputs), "outputs": listed(outputs)}, "whale-alert", "/x")
    net = _net(part)
    for owner in ("binance", "kraken"):
        got = sum((amount for amount, of in outputs if of == owner), Decimal(0))
        gave = sum((amount for amount, of in inputs if of == owner), Decimal(0))
        assert net.get(owner, Decimal(0)) == got - gave
    assert "" not in net

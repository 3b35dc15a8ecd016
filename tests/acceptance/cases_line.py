"""What a venue says to too many, too late and not allowed requests: clocks, limits, bans, maintenance, keys."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.acceptance.account import FAR_BELOW
from tests.acceptance.case import line_case
from tests.acceptance.expect import raises
from tests.acceptance.venue_account import VenueAccount
from tests.venues.faults import DOUBLED, REORDERED, Fault, banned, maintenance, rate_limited, skewed
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, ConfigurationError, OrderRefused
from trading_core.domain.orders import OrderState, Side

D = Decimal
CLOCK, LIMITS, KEYS, LISTS = "clock", "rate limits", "keys", "listings"
NO_CLOCK = "in this process: it has the desk's own clock"
NO_LIMIT = "in this process: no line, and no limit on it"
NO_KEY = "in this process: it has no keys"
NO_LISTS = "in this process: nothing comes over a line twice"
NO_TIME = {"cryptocom": "it tells no time, so that there is nothing to take off"}
NO_HEADER = {"bybit": "it sends no Retry-After: its limit is a code with status 200, in cases 106 and 108"}
SKEW_MS, RETRY_AFTER, BAN_SECONDS = 90_000, 7, 120


async def _works(account: VenueAccount) -> None:
    assert (await account.quote()).free > 0
    assert (await account.send(account.limit("works", "0.1"))).state is OrderState.OPEN


async def _opened_under(account: VenueAccount, skew_ms: int) -> None:
    account.server.venue.skew_ms = skew_ms
    await account.restart()
    await _works(account)


@line_case(100, CLOCK, "a venue whose clock is ahead is followed from the start", paper=NO_CLOCK, without=NO_TIME)
async def ahead(account: VenueAccount) -> None:
    await _opened_under(account, SKEW_MS)


@line_case(101, CLOCK, "a venue whose clock is behind is followed from the start", paper=NO_CLOCK, without=NO_TIME)
async def behind(account: VenueAccount) -> None:
    await _opened_under(account, -SKEW_MS)


@line_case(
    102, CLOCK, "a clock that steps ahead is measured anew by a read, and orders go through", paper=NO_CLOCK, without=NO_TIME
)
async def steps_ahead(account: VenueAccount) -> None:
    account.server.venue.skew_ms = SKEW_MS
    await _works(account)


@line_case(
    103, CLOCK, "a clock that steps back is measured anew by a read, and orders go through", paper=NO_CLOCK, without=NO_TIME
)
async def steps_back(account: VenueAccount) -> None:
    account.server.venue.skew_ms = -SKEW_MS
    await _works(account)


@line_case(104, CLOCK, "an order whose time is not accepted is refused and not sent again", paper=NO_CLOCK)
async def write_out_of_time(account: VenueAccount) -> None:
    for key, skew_ms in (("c1", SKEW_MS), ("c2", -SKEW_MS)):
        account.next("place", skewed(skew_ms))
        try:
            await account.broker.place(account.limit(key, "0.1"))
        except OrderRefused:
            assert await account.broker.order(key, account.symbol) is None
        else:  # some venues look at the time of no order, or at nothing so near
            assert (await account.report(key)).state is OrderState.OPEN
    assert account.sent("place") == 2


async def _not_sent_again(account: VenueAccount, fault: Fault, *, after: float = 0) -> None:
    account.next("place", fault)
    try:
        await account.broker.place(account.limit("c1", "0.1"))
    except (AmbiguousOutcome, OrderRefused):
        pass
    else:
        raise AssertionError("what the venue turned away was told as placed")
    assert account.sent("place") == 1
    await account.clock.sleep(after)
    assert await account.broker.order("c1", account.symbol) is None
    assert account.at_venue() == []


@line_case(105, LIMITS, "429 with Retry-After: a read waits that long and recovers", paper=NO_LIMIT, without=NO_HEADER)
async def read_told_to_wait(account: VenueAccount) -> None:
    account.next("balance", rate_limited(RETRY_AFTER))
    assert (await account.quote()).free > 0
    assert account.sent("balance") == 2
    assert max(account.clock.slept, default=0) > RETRY_AFTER - 1


@line_case(106, LIMITS, "a rate limit without Retry-After: a read is asked again and recovers", paper=NO_LIMIT)
async def read_limited(account: VenueAccount) -> None:
    account.next("balance", rate_limited(), rate_limited())
    assert (await account.quote()).free > 0
    assert account.sent("balance") == 3
    assert account.clock.slept


@line_case(
    107,
    LIMITS,
    "429 with Retry-After: an order is not sent again, is absent, and the next one waits",
    paper=NO_LIMIT,
    without=NO_HEADER,
)
async def write_told_to_wait(account: VenueAccount) -> None:
    await _not_sent_again(account, rate_limited(RETRY_AFTER))
    assert max(account.clock.slept, default=0) > RETRY_AFTER - 1
    assert (await account.send(account.limit("c2", "0.1"))).state is OrderState.OPEN


@line_case(108, LIMITS, "a rate limit without Retry-After: an order is not sent again, and is absent", paper=NO_LIMIT)
async def write_limited(account: VenueAccount) -> None:
    await _not_sent_again(account, rate_limited())


@line_case(109, LIMITS, "a limit that stays: a read gives up after three tries and is unknown, not empty", paper=NO_LIMIT)
async def limit_stays(account: VenueAccount) -> None:
    account.server.faults.always(rate_limited(1), "balance", "open_orders", "orders")
    await raises(BrokerUnavailable, account.broker.balances())
    assert account.sent("balance") == 3
    await raises(BrokerUnavailable, account.broker.open_orders())


@line_case(110, LIMITS, "a ban: an order is not sent again and is absent, and the venue is back afterwards", paper=NO_LIMIT)
async def ban(account: VenueAccount) -> None:
    await _not_sent_again(account, banned(BAN_SECONDS), after=BAN_SECONDS)
    await _works(account)


@line_case(
    111,
    LIMITS,
    "418: nothing at all is sent until the ban is over, and an order that could only wait is refused",
    paper=NO_LIMIT,
    without=dict.fromkeys(
        ("bybit", "okx", "coinbase", "kraken", "cryptocom"), "only Binance answers 418; its own ban is case 110"
    ),
)
async def teapot(account: VenueAccount) -> None:
    account.next("balance", banned(BAN_SECONDS))
    await raises(BrokerUnavailable, account.quote())
    seen = len(account.server.seen)
    await raises(OrderRefused, account.broker.place(account.limit("c1", "0.1")))
    await raises(BrokerUnavailable, account.broker.open_orders())
    assert len(account.server.seen) == seen
    await account.clock.sleep(BAN_SECONDS)
    assert (await account.quote()).free > 0
    assert await account.broker.order("c1", account.symbol) is None


@line_case(112, LIMITS, "maintenance: nothing is assumed, nothing is sent again, and all is as it was afterwards", paper=NO_LIMIT)
async def down(account: VenueAccount) -> None:
    await account.send(account.limit("before", "0.1"))
    account.server.faults.always(maintenance())
    await raises(BrokerUnavailable, account.broker.balances())
    await raises(BrokerUnavailable, account.broker.open_orders())
    await raises(BrokerUnavailable, account.broker.order("before", account.symbol))
    sent = account.sent("place")
    await raises(AmbiguousOutcome, account.broker.place(account.limit("during", "0.1")))
    assert account.sent("place") == sent + 1
    account.server.faults.clear()
    assert await account.open_keys() == {"before"}
    assert await account.broker.order("during", account.symbol) is None


@line_case(113, KEYS, "a key that the venue does not know: one clear line, nothing placed", paper=NO_KEY)
async def unknown_key(account: VenueAccount) -> None:
    await account.reopen(account.unknown_key())
    error = await raises(BrokerUnavailable, account.broker.balances())
    assert account.local.kind.profile.title in error.what
    assert "\n" not in str(error)
    await raises(OrderRefused, account.broker.place(account.limit("c1", "0.1")))
    assert account.at_venue() == []


@line_case(114, KEYS, "a wrong secret: one clear line, nothing placed, and the secret is not in it", paper=NO_KEY)
async def wrong_secret(account: VenueAccount) -> None:
    wrong = account.wrong_secret()
    await account.reopen(wrong)
    error = await raises(BrokerUnavailable, account.broker.balances())
    assert "\n" not in str(error)
    assert wrong.secret not in str(error)
    await raises(OrderRefused, account.broker.place(account.limit("c1", "0.1")))
    assert account.at_venue() == []


@line_case(115, KEYS, "a key without trade permission reads, and its orders are refused", paper=NO_KEY)
async def may_not_trade(account: VenueAccount) -> None:
    await account.reopen(account.reading_key())
    assert (await account.quote()).free > 0
    assert list(await account.broker.open_orders()) == []
    await raises(OrderRefused, account.broker.place(account.limit("c1", "0.1")))
    assert account.at_venue() == []


@line_case(143, KEYS, "a key that lacks a part is not opened: one clear line that names the part", paper=NO_KEY)
async def key_in_parts(account: VenueAccount) -> None:
    whole = account.local.kind.credentials
    needed = account.local.kind.profile.credentials
    for name, part, lacking in (
        ("apiKey", "key", replace(whole, key="")),
        ("secret", "secret", replace(whole, secret="")),
        ("password", "passphrase", replace(whole, passphrase="")),
    ):
        if name in needed:
            with pytest.raises(ConfigurationError, match=f"needs a {part}"):
                await account.reopen(lacking)


@line_case(116, LISTS, "fills in a listing with every row twice are told once", paper=NO_LISTS)
async def doubled(account: VenueAccount) -> None:
    await _three_fills(account)
    before = await account.fills()
    account.server.faults.always(DOUBLED, "trades")
    assert await account.fills() == before
    assert len(before) == 3


@line_case(117, LISTS, "fills in a listing of another order are told oldest first", paper=NO_LISTS)
async def reordered(account: VenueAccount) -> None:
    await _three_fills(account)
    before = await account.fills()
    account.server.faults.always(REORDERED, "trades")
    assert await account.fills() == before
    assert len(before) == 3


async def _three_fills(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    for _ in range(3):
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))

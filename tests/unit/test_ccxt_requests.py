"""What goes over the wire: each venue is told the desk's id, the exact quantity and the stop price."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import ccxt
import pytest

from tests.venues.local import QuickClock
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.forms import form_of
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.brokers.venues.profiles import COINBASE, PROFILES
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import OrderRequest, OrderType, Side

D = Decimal
BTC = Instrument("BTC/USD", D("0.1"), D("0.00000001"), D("0.00000001"), D(1))
OWN = "at0123456789abcdef"
EXACT = D("12.30000007")  # no float with eight more digits in front would keep it


async def sent(profile: VenueProfile, request: OrderRequest) -> str:
    """The bytes of the order as ccxt would send them."""
    clock = QuickClock()
    throttle = Throttle(1000, burst=1000, monotonic=time.monotonic, sleep=clock.sleep)
    client: Any = open_client(profile, Credentials("key", "c2VjcmV0", "phrase"), throttle, sandbox=False, base_url=None)
    market = {
        "id": "BTCUSD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "baseId": "BTC", "quoteId": "USD",
        "type": "spot", "spot": True, "contract": False, "swap": False, "future": False, "option": False, "margin": False,
        "precision": {"price": "0.1", "amount": "0.00000001"}, "limits": {},
        "info": {"orderTypes": ["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "LIMIT_MAKER"]},
    }  # fmt: skip
    client.set_markets([client.safe_market_structure(market)])
    client.options.update(enableUnifiedMargin=False, enableUnifiedAccount=True)
    seen: list[str] = []

    async def fetch(url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        seen.append(unquote(f"{url} {body}"))
        raise ccxt.RequestTimeout("this far and no further")

    client.fetch = fetch
    if profile is COINBASE:  # its signature needs a real elliptic key, and is not what is looked at
        client.create_auth_token = lambda *_: "token"
    form = form_of(request, BTC, profile)
    assert form is not None
    params = {**form.params, profile.id_param: OWN}
    if form.is_stop and profile.stop_id_param:
        params[profile.stop_id_param] = OWN
    try:
        with pytest.raises(ccxt.RequestTimeout):
            await client.create_order(request.symbol, form.type, request.side.value, form.amount, form.price, params)
    finally:
        await client.close()
    (only,) = seen
    return only


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.venue)
@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP])
async def test_the_id_the_quantity_and_the_price_arrive_as_they_are(profile: VenueProfile, kind: OrderType) -> None:
    is_stop = kind is OrderType.STOP
    price = D("50000.1")
    request = OrderRequest(
        OWN, "BTC/USD", Side.SELL, kind, EXACT, limit_price=None if is_stop else price, stop_price=price if is_stop else None
    )
    wire = await sent(profile, request)
    assert OWN in wire
    assert "12.30000007" in wire
    assert "50000.1" in wire


@pytest.mark.parametrize("profile", [p for p in PROFILES.values() if p is not COINBASE], ids=lambda profile: profile.venue)
async def test_a_market_buy_names_the_base_quantity(profile: VenueProfile) -> None:
    wire = await sent(profile, OrderRequest(OWN, "BTC/USD", Side.BUY, OrderType.MARKET, EXACT))
    assert "12.30000007" in wire
    assert "quoteOrderQty" not in wire
    assert "quoteCoin" not in wire
    assert "quote_ccy" not in wire

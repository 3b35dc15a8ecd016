"""Binance's keys and accounts: who a signed request belongs to, what the account holds, what its key may do.

Source: https://developers.binance.com/docs/binance-spot-api-docs (request security; account endpoints) and
https://developers.binance.com/docs/wallet/account/api-key-permission.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from tests.venues.binance_orders import BinanceError, Params, Row, money, need, number
from tests.venues.engine import Exchange
from tests.venues.server import Key

DEFAULT_WINDOW_MS, LONGEST_WINDOW_MS, AHEAD_MS = 5_000, 60_000, 1_000


def authorised(keys: Mapping[str, Key], given: str, sent: str, params: Params, now_ms: int) -> Key:
    """The key of a request whose signature and clock are right; `sent` is the text that was signed."""
    if not given:
        raise BinanceError(-2014, "API-key format invalid.", 401)
    key = keys.get(given)
    if key is None:
        raise BinanceError(-2008, "Invalid Api-Key ID.", 401)
    expected = hmac.new(key.secret.encode(), sent.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, need(params, "signature")):
        raise BinanceError(-1022, "Signature for this request is not valid.")
    need(params, "timestamp")
    stamp, window = number(params, "timestamp") or 0, number(params, "recvWindow") or DEFAULT_WINDOW_MS
    if window > LONGEST_WINDOW_MS:
        raise BinanceError(-1131, "recvWindow must be less than 60000.")
    if stamp >= now_ms + AHEAD_MS:
        raise BinanceError(-1021, f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
    if now_ms - stamp > window:
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")
    return key


def account_row(exchange: Exchange, key: Key, *, hides_zeros: bool) -> Row:
    """As `account` shows it."""
    wallets, fees = exchange.wallets[key.account], exchange.fees
    return {
        "makerCommission": int(fees.maker * 10_000),
        "takerCommission": int(fees.taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": money(fees.maker),
            "taker": money(fees.taker),
            "buyer": money(None),
            "seller": money(None),
        },
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": max((done.at_ms for done in exchange.executions[key.account][-1:]), default=0),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": money(wallet.free), "locked": money(wallet.locked)}
            for asset, wallet in sorted(wallets.items())
            if not hides_zeros or wallet.free or wallet.locked
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def permissions_row(key: Key) -> Row:
    """As `apiRestrictions` shows it."""
    return {
        "ipRestrict": False,
        "createTime": 0,
        "enableReading": True,
        "enableWithdrawals": key.can_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": key.can_trade,
        "enablePortfolioMarginTrading": False,
    }

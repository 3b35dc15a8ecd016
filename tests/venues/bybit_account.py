"""What Bybit tells of an account and of a key: balances, kind, fees, permissions.

Source: https://bybit-exchange.github.io/docs/v5/account/wallet-balance (and `account-info`, `fee-rate` beside it) and
https://bybit-exchange.github.io/docs/v5/user/apikey-info.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.venues.bybit_orders import Row, text
from tests.venues.engine_types import Fees, Market, Wallet
from tests.venues.server import Key

ZEROS = (
    "unrealisedPnl",
    "borrowAmount",
    "cumRealisedPnl",
    "accruedInterest",
    "spotBorrow",
    "totalOrderIM",
    "totalPositionIM",
    "totalPositionMM",
    "bonus",
)
TOTALS = ("Equity", "MarginBalance", "InitialMargin", "AvailableBalance", "PerpUPL", "WalletBalance", "MaintenanceMargin")
UNUSED = ("ContractTrade", "Options", "Derivatives", "CopyTrading", "BlockTrade", "NFT", "Affiliate", "Earn")


def balance(wallets: Mapping[str, Wallet]) -> Row:
    """Every coin there is something of. What can be withdrawn is no longer told of a unified account."""
    zeros: Row = dict.fromkeys(ZEROS, "0")
    coins = [
        zeros
        | {
            "coin": asset,
            "equity": text(wallet.free + wallet.locked),
            "walletBalance": text(wallet.free + wallet.locked),
            "locked": text(wallet.locked),
            "usdValue": "",
            "availableToBorrow": "",
            "availableToWithdraw": "",
            "collateralSwitch": True,
            "marginCollateral": True,
        }
        for asset, wallet in sorted(wallets.items())
        if wallet.free or wallet.locked
    ]
    rates = {"accountIMRate": "", "accountMMRate": "", "accountLTV": ""}
    return {"list": [{f"total{name}": "" for name in TOTALS} | rates | {"accountType": "UNIFIED", "coin": coins}]}


def info() -> Row:
    """A unified account of the newest kind."""
    return {
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": "1697078946000",
        "unifiedMarginStatus": 6,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def fee_rates(fees: Fees, markets: Iterable[Market]) -> Row:
    rates = {"makerFeeRate": text(fees.maker), "takerFeeRate": text(fees.taker)}
    rows = [{"symbol": market.base + market.quote, "baseCoin": ""} | rates for market in markets]
    return {"category": "spot", "list": rows}


def permissions(key: Key) -> Row:
    """Of the key that asks. One that may not trade is read-only."""
    wallet = ["AccountTransfer", "SubMemberTransfer"] + (["Withdraw"] if key.can_withdraw else [])
    none: dict[str, list[str]] = {name: [] for name in UNUSED}
    return {
        "id": "1",
        "note": "",
        "apiKey": key.key,
        "readOnly": int(not key.can_trade),
        "secret": "",
        "permissions": none | {"Spot": ["SpotTrade"], "Wallet": wallet, "Exchange": ["ExchangeHistory"]},
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 90,
        "expiredAt": "2030-01-01T00:00:00Z",
        "createdAt": "2025-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": 1,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }

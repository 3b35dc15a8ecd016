"""OKX's account of somebody who only trades spot: balances, what a key may do, fees.

Source: https://www.okx.com/docs-v5/en/ (trading account: get balance, get account configuration, get fee rates).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tests.venues.engine_types import ZERO, Fees, Wallet
from tests.venues.okx_orders import Row, text
from tests.venues.server import Key

NOT_IN_SPOT_MODE = (
    *("accAvgPx", "availEq", "borrowFroz", "clSpotInUseAmt", "collateralEnabled", "crossLiab", "disEq", "eqUsd", "fixedBal"),
    *("imr", "interest", "isoEq", "isoLiab", "isoUpl", "liab", "maxLoan", "maxSpotInUseAmt", "mgnRatio", "mmr", "notionalLever"),
    *("openAvgPx", "rewardBal", "smtSyncEq", "spotBal", "spotCopyTradingEq", "spotInUseAmt", "spotIsoBal", "spotUpl"),
    *("spotUplRatio", "stgyEq", "totalPnl", "totalPnlRatio", "twap", "upl", "uplLiab"),
)
"""What of a balance is empty to an account that only trades spot, without borrowing."""
NOT_IN_SPOT_MODE_OF_ALL = (
    *("adjEq", "borrowFroz", "imr", "isoEq", "mgnRatio", "mmr", "notionalUsd", "notionalUsdForBorrow", "notionalUsdForFutures"),
    *("notionalUsdForOption", "notionalUsdForSwap", "ordFroz", "totalEq", "upl"),
)
SPOT_MODE = "1"
OF_CONTRACTS = ("delivery", "exercise", "makerU", "makerUSDC", "takerU", "takerUSDC", "uly")


def balance(wallets: Mapping[str, Wallet], wanted: Collection[str] | None, now_ms: int) -> Row:
    """Every asset with a balance, or the wanted ones. There is no equity to trade on (`availEq`), only what is there."""
    details = [
        dict.fromkeys(NOT_IN_SPOT_MODE, "")
        | {
            "availBal": text(wallet.free),
            "cashBal": text(wallet.free + wallet.locked),
            "ccy": asset,
            "eq": text(wallet.free + wallet.locked),
            "frozenBal": text(wallet.locked),
            "ordFrozen": text(wallet.locked),
            "uTime": str(now_ms),
        }
        for asset, wallet in sorted(wallets.items())
        if wallet.free + wallet.locked != ZERO and (wanted is None or asset in wanted)
    ]
    return dict.fromkeys(NOT_IN_SPOT_MODE_OF_ALL, "") | {"details": details, "uTime": str(now_ms)}


def config(key: Key, uid: str) -> Row:
    may = {"read_only": True, "withdraw": key.can_withdraw, "trade": key.can_trade}
    return {
        "acctLv": SPOT_MODE,
        "acctStpMode": "cancel_maker",
        "ip": "",
        "label": key.key,
        "level": "Lv1",
        "mainUid": uid,
        "perm": ",".join(name for name, granted in may.items() if granted),
        "posMode": "net_mode",
        "type": "0",
        "uid": uid,
    }


def fees(rates: Fees, now_ms: int) -> Row:
    """OKX writes what it takes as a negative number."""
    told = {"category": "1", "instType": "SPOT", "level": "Lv1", "ts": str(now_ms)}
    return told | {"maker": text(-rates.maker), "taker": text(-rates.taker)} | dict.fromkeys(OF_CONTRACTS, "")

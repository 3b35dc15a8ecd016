"""Words of crypto markets with their valence, beside those that VADER knows.

Valences are on VADER's scale of −4 to 4 (Hutto & Gilbert, ICWSM 2014). They were set by hand from what the words mean to a
holder of the asset, and looked at on one half of the labelled comments only; `docs/sentiment.md` reports the other half.
"""

from __future__ import annotations

from collections.abc import Mapping

# Everyday words that are terms here, and say nothing by themselves: a block has a value, a fund has an interest rate, a share
# is a part, and gold is a store of value for those who like it and for those who do not. Swearing is only loud.
# Numbers that are a code in chats (143) are prices here.
_TERMS = """
    1337 143 1432 182 187 86
    asset assets block blocked commitment credit damn free gold growing hell interest like lol low natural novel
    original party proof protocol reward rewards secure security share shared shares stake staked staking true trust
    trusted value valued values vested well
"""

_GOOD = {
    1.0: """
        accumulate accumulating accumulation adopt adopted adopting adopts buy buying halving hold holding inflow inflows
        integrates integration invest investing listed listing onboarding partners partnership stacking upgrade upgraded
    """,
    1.5: """
        adoption ape bought btfd bullrun dca decentralised decentralized hodl hodler hodlers hodling legit milestone
        oversold rebound rebounds reclaim reclaims recover recovered recovering recovers recovery undervalued uptrend
    """,
    2.0: """
        ath breakout bull bullish bulls diamond fly gem gm lambo outperform outperforms parabolic pumped rallied rallies
        rally rallying revolutionary rocket skyrocket skyrocketing soar soared soaring soars surge surged surges surging
        uptober wagmi
    """,
}
_BAD = {
    -1.0: """
        cautious correction dip dipping expensive leverage outflow outflows resistance sell selling shorts speculation
        speculative unlock unproven volatile volatility withdrawals
    """,
    -1.5: """
        bagholder bagholders bear bearish bears decline declined declines delist delisted delisting depeg depegged
        downtrend downturn exploit exploited exploits fad fails fallen fud gamble gambling halted halts hype lawsuit
        liquidated liquidation liquidations outage overbought overpriced overvalued plummet plummets probe retrace shill
        shilling shills slump slumps sue sued sues tumble tumbles underwater unstable
    """,
    -2.0: """
        bubble capitulation centralised centralized crash crashed crashes crashing degen degenerate drain drained dump
        dumped dumping dumps hack hacked hacker hackers hacks insolvent meltdown ngmi plunge plunged plunges plunging rekt
        selloff tank tanked tanking tanks vaporware wiped worthless
    """,
    -3.0: """
        bankruptcy fraudster fraudsters implode imploded implodes launderers laundering ponzi ponzis pyramid rug rugged
        rugpull rugpulls scam scammed scammer scammers scams shitcoin shitcoins swindle swindler theft
    """,
}

LEXICON: Mapping[str, float] = {
    **dict.fromkeys(_TERMS.split(), 0.0),
    **{word: valence for group in (_GOOD, _BAD) for valence, words in group.items() for word in words.split()},
}

PHRASES: Mapping[str, float] = {
    "all time high": 2.5,
    "all-time high": 2.5,
    "all in": 1.5,
    "back up": 1.5,
    "going up": 1.5,
    "go up": 1.5,
    "goes up": 1.5,
    "keeps going up": 2.0,
    "to the moon": 2.5,
    "here to stay": 2.0,
    "long term": 1.0,
    "buy the dip": 2.0,
    "buying the dip": 2.0,
    "buy more": 1.5,
    "on sale": 1.5,
    "diamond hands": 2.0,
    "store of value": 1.5,
    "this is the way": 1.5,
    "bull market": 1.0,
    "bull run": 2.0,
    "not a scam": 1.0,
    "going down": -1.5,
    "goes down": -1.5,
    "go down": -1.5,
    "go to zero": -3.0,
    "going to zero": -3.0,
    "to zero": -2.5,
    "greater fool": -2.5,
    "bear market": -1.0,
    "bull trap": -2.0,
    "dead cat": -2.0,
    "pump and dump": -3.0,
    "rug pull": -3.0,
    "rug pulled": -3.0,
    "shit coin": -3.0,
    "snake oil": -3.0,
    "con artist": -3.0,
    "con job": -3.0,
    "stay away": -2.5,
    "cash out": -1.0,
    "cashed out": -1.0,
    "cashing out": -1.0,
    "sold everything": -2.0,
    "sell everything": -2.0,
    "use case": 0.0,
    "no use": -1.5,
    "all time low": -2.5,
    "all-time low": -2.5,
    "smart contract": 0.0,
    "smart contracts": 0.0,
    "stable coin": 0.0,
    "market value": 0.0,
    "intrinsic value": 0.0,
    "underlying value": 0.0,
}

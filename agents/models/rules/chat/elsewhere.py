"""What is done or seen at another door of the desk: no agent in a conversation can do it, so the answer says where it is."""

from __future__ import annotations

import re

from agents.plain_words import ASSET_NAMES

_ASKED_FOR = r"^(?:(?:please|just|now|ok|okay|so|then|hey|desk|can you|could you|would you|will you|i want to|let's)[\s,]+)*"
_HALT = (
    r"(?:halt|freeze|kill|stop|emergency stop|resume|unhalt|pause)\b"
    r"(?: (?:it|all|the|everything|desk|trading|bot|switch))*[\s,]*(?:now|please|immediately|again)?(?:[.!]*$|[,;.!?] | and )"
)
_ASSETS = "|".join({*ASSET_NAMES, *(base.lower() for base in ASSET_NAMES.values())})
_DOORS = (
    (
        _ASKED_FOR + _HALT,
        "I cannot halt or resume trading, so nothing was changed. Whoever may does it with `algotrendy halt`, `kill`, `pause` or"
        " `resume-trading`, or at the API under `/risk` and `/pauses` of the account.",
    ),
    (
        _ASKED_FOR + r"(?:cancel|withdraw|take back)\b",
        "I cannot cancel an order, so nothing was changed. Whoever may does it at the API under `/orders` of the account, one by"
        " one, or with `algotrendy kill`, which halts and cancels all but protective stops.",
    ),
    (
        _ASKED_FOR + r"(?:move|change|raise|lower|tighten|widen|set|remove|trail)\b.*\bstop",
        "I cannot move a stop, so nothing was changed: the desk places the stop of a buy and keeps it. To be out sooner, ask me"
        " to sell or to close.",
    ),
    (
        _ASKED_FOR
        + r"(?:change|raise|lower|increase|set|lift|disable|remove|ignore|turn off)\b.*\b(?:limits?|risk checks?|gate)\b",
        "I cannot change a limit or pass it by, so nothing was done: limits are settings of the session, and the gate holds every"
        " order against them, whoever asks. An order that you name by itself gets a card, with the gate's word on it.",
    ),
    (
        _ASKED_FOR + rf"(?:go short|open a short|short (?:[$€]?\d|(?:{_ASSETS})\b))",
        "This desk trades spot and goes long only: it cannot sell what it does not hold. I made no card.",
    ),
    (
        r"\bschedul|\bnext (?:cycle|run)\b|\b(?:cycle|run)s? next\b",
        "Schedules are not read in a conversation: `algotrendy schedule list` shows them, and so does the API under `/schedules`"
        " of the account.",
    ),
    (
        r"\b(?:pending|open|waiting|any|list|show) .{0,40}\bapprovals?\b|^approvals?\b",
        "What waits for an approval stands under `/approvals` at the API, and `algotrendy chat` shows it as it comes. Name a"
        " symbol and ask why, and I tell you whether an order of it waits.",
    ),
)
_SAYS_MORE = re.compile(r"(?:[,?!.;]| and) (?:and )?(?:what|why|when|how|which|who|is|are|do|does|did|show|tell)\b")


def elsewhere(words: str) -> str | None:
    """Where something is done that no agent here can do; None of anything else."""
    return next((text for pattern, text in _DOORS if re.search(pattern, words)), None)


def asks_more(words: str) -> bool:
    """Whether a text goes on with a question."""
    return bool(_SAYS_MORE.search(words))

"""What is done or seen at another door of the desk: no agent in a conversation can do it, so the answer says where it is."""

from __future__ import annotations

import re

from agents.plain_words import ASSET_NAMES

_ASKED_FOR = r"^(?:(?:please|pls|just|now|ok|okay|so|then|hey|desk|can you|could you|would you|will you|i want to|let's)[\s,]+)*"
_HALT = (
    r"(?:halt|freeze|kill|stop|emergency stop|resume|unhalt|pause|panic)\b"
    r"(?: (?:it|all|the|everything|desk|trading|bot|switch))*[\s,]*(?:now|please|immediately|again)?(?:[.!]*$|[,;.!?] | and )"
)
_ASSETS = "|".join({*ASSET_NAMES, *(base.lower() for base in ASSET_NAMES.values())})
_DOORS = (
    (
        _ASKED_FOR + _HALT,
        "I cannot halt or resume trading, so nothing was changed. Whoever may does it with `/halt` and `/resume` in `algotrendy"
        " chat`, with `algotrendy halt`, `kill`, `pause` or `resume-trading`, or at the API under `/risk` and `/pauses` of the"
        " account.",
    ),
    (
        _ASKED_FOR + r"(?:pause|unpause|halt|resume|suspend|freeze|silence|mute|stop (?:trading|buying|selling)) \w",
        "I cannot pause anything or let it go on, so nothing was changed. Whoever may does it with `algotrendy pause symbol"
        " BTC/USDT --reason TEXT`, which takes an agent, a schedule or everything as well, with `algotrendy unpause`, or at the"
        " API under `/pauses` of the account.",
    ),
    (
        _ASKED_FOR + r"(?:(?:withdraw|transfer|deposit)\b(?=.*\b(?:\d|funds?|money|cash)|$)|send\b.*\b(?:wallet|address|bank)\b)",
        "The desk moves no money in or out, so nothing was done: deposits and withdrawals are made at the venue.",
    ),
    (
        _ASKED_FOR + r"(?:(?:run|start|trigger)\b.{0,20}\b(?:cycles?|run|now)\b|re-?(?:analy[sz]e|balance)(?! every)\b)",
        "I cannot start a cycle, so nothing was done. Whoever may does it with `/run` in `algotrendy chat`, or at the API under"
        " `/runs` of the account. An order that you name by itself gets a card.",
    ),
    (
        _ASKED_FOR + r"(?:(?:set|put|place|add)\b.*\b(?:take.?profit|profit target|tp)\b|take.?profits?\b|tp\b)",
        "I cannot give a profit target to what is held, so nothing was changed. Name it with the buy, such as: buy (amount) SOL"
        " target (price). Or ask me to sell at a limit: sell (amount) SOL at (price).",
    ),
    (
        _ASKED_FOR + r"(?:cancel|take back|withdraw|kill .{0,20}\borders?)\b",
        "I cannot cancel an order, so nothing was changed. Whoever may does it at the API under `/orders` of the account, one by"
        " one, or with `algotrendy kill`, which halts and cancels all but protective stops.",
    ),
    (
        _ASKED_FOR + r"(?:(?:move|change|raise|lower|tighten|widen|set|put|remove|trail)\b.*\bstop"
        r"|(?:stop.?loss|sl|stop (?:\S+ )?at)\b.*\d)",
        "I cannot move a stop, so nothing was changed: the desk places the stop of a buy and keeps it. To be out sooner, ask me"
        " to sell or to close.",
    ),
    (
        _ASKED_FOR + r"(?:change|raise|lower|increase|set|lift|disable|remove|ignore|(?:turn|switch) off)\b.*"
        r"\b(?:limits?|max|maximum|risk|gate|approvals?|leverage)\b",
        "I cannot change a limit or pass it by, so nothing was done: limits are settings of the session, and the gate holds every"
        " order against them, whoever asks. An order that you name by itself gets a card, with the gate's word on it.",
    ),
    (
        _ASKED_FOR + rf"(?:go short|open a short|short (?:[$€]?\d|(?:{_ASSETS})\b))",
        "This desk trades spot and goes long only: it cannot sell what it does not hold. I made no card.",
    ),
    (
        r"\bfunding\b|\bopen interest\b|\bliquidation price\b|\bleverage\b|\bmargin\b|\bperps?\b|\bperpetuals?\b|\bfutures\b",
        "This desk trades spot, long only and with its own money: it has no leverage, margin, funding or liquidation price, and"
        " reads none.",
    ),
    (
        r"\b(?:models?|llm|tokens?|api)\b.{0,40}\b(?:costs?|spen[dt]|spending|usage|bill)\b"
        r"|\b(?:costs?|spen[dt]|spending|usage)\b.{0,40}\b(?:models?|llm|tokens?|api)\b",
        "What the models cost is not read in a conversation: `/agents` in `algotrendy chat` tells the calls of today, and"
        " `algotrendy show` what each answer of a run took.",
    ),
    (
        r"\bwho (?:has |had )?(?:approved|confirmed|rejected|cancell?ed)\b",
        "Who approved, rejected or cancelled what is in the audit trail: `algotrendy audit list`, or `/audit` at the API.",
    ),
    (
        r"\breal money\b|\bpaper\b|\b(?:which|what) (?:exchange|venue|account|broker)\b|\bsandbox\b",
        "Which account this is, and whether it is paper, a sandbox or real money, is told by `algotrendy state`, by `serve` when"
        " it starts, and at the API under `/accounts`.",
    ),
    (
        r"\b(?:desk|venue|exchange|channels?|feeds?|system|connection|everything)\b.{0,20}"
        r"\b(?:healthy|connected|online|offline|ok|okay|alive|running)\b|\bany errors\b|\bfresh data\b",
        "How venue, sources and process are is not read in a conversation: `algotrendy state`, `channels` and `doctor` tell it,"
        " and the API under `/health`.",
    ),
    (
        _ASKED_FOR + r"(?:yes|yep|yeah|y|sure|do it|do that|go ahead|go for it|make it so|place it|send it|no|nope)\b"
        r"[\s.!]*(?:please)?[\s.!]*$",
        "A word here confirms nothing, so nothing was done. A card is confirmed where it is shown: `algotrendy chat` asks below"
        " it, and a program answers under `/proposals`. If there is no card yet, name the order: buy (amount) USDT of ETH, say.",
    ),
    (
        r"\bschedul|\bnext (?:cycle|run)\b|\b(?:cycle|run)s? next\b",
        "Schedules are not read in a conversation: `algotrendy schedule list` shows them, and so does the API under `/schedules`"
        " of the account.",
    ),
    (
        r"\b(?:pending|open|waiting|any|list|show) .{0,40}\bapprovals?\b|^approvals?\b"
        r"|\bwait(?:s|ing)? for (?:me|my|us|approval|an operator)\b|\bto approve\b",
        "What waits for an approval is listed by `/approvals` in `algotrendy chat`, and under `/approvals` at the API. Name a"
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

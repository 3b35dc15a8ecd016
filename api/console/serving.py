"""What `serve` says when it has started: where the doors are, how to come in, what is traded and when, and how to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from api.chat.address import LOCAL_DESK
from api.console.text import amount
from api.first_login import USERNAME, FirstLogin
from api.operations import place_of
from graph.config import SessionConfig

_LABEL = 10  # columns


@dataclass(frozen=True, slots=True)
class Started:
    """What there is to say.

    Attributes:
        name: how the program is called.
        url: of the door.
        docs: whether its pages about the API are there.
        timetable: when cycles run, in words; empty where no schedule is kept.
    """

    name: str
    url: str
    docs: bool
    configs: Sequence[SessionConfig]
    accounts: Sequence[str]
    login: FirstLogin
    timetable: str


def introduce(console: Console, started: Started, always: Console) -> None:
    """Print it.

    Args:
        always: gets the first login where `console` is a silent one: nobody could ever come in otherwise.
    """
    for config, account in zip(started.configs, started.accounts, strict=True):
        _introduce_account(console, config, account)
    if not started.configs:
        _line(console, "Desk", "none here: requests wait in the ledger for the process that runs the account")
    else:
        _line(console, "Cycles", started.timetable or "on request only: no schedule is kept by this process")
    pages = f", about it {started.url}/docs" if started.docs else ""
    _line(console, "API", f"{started.url}/api/v1{pages}")
    _tell_login(always if console.quiet else console, started)
    where = "" if started.url == LOCAL_DESK else f" --url {started.url}"
    _line(console, "Next", f"{started.name} chat{where}", about="ask the desk in another terminal")
    _line(console, "Stop", "Ctrl-C: what is at work comes to a safe point, and the next start goes on from there")


def _introduce_account(console: Console, config: SessionConfig, account: str) -> None:
    model = (
        "rules model (embedded, no LLM)"
        if config.model.provider == "rules"
        else f"{config.model.model} at {config.model.endpoint}"
    )
    what = f"{', '.join(config.symbols)}, {config.timeframe} bars, {model}"
    console.print(Text.assemble(("AlgoTrendy  ", "bold"), what), soft_wrap=not console.is_terminal)
    if config.market == "practice":
        told = f"{account}: paper exchange, GENERATED prices. No price was ever paid, and a result says nothing about profit."
        _line(console, "Account", told, style="yellow")
    elif config.account is None:
        _line(console, "Account", f"{account}: paper exchange over live prices of {config.venue}. No order leaves this machine.")
    else:
        real = config.account.production
        told = f"{place_of(config)}: orders leave this machine{' and can lose it' if real else ', no real money'}."
        _line(console, "Account", told, style="bold red" if real else "yellow")
    above = config.limits.desk.approval_above_notional
    if above is not None:
        _line(console, "Approval", f"orders above {amount(above)} {config.currency} wait for an operator")


def _tell_login(console: Console, started: Started) -> None:
    login = started.login
    if login.password is not None:
        told = f"user {USERNAME}, password {login.password.get_secret_value()}"
        _line(console, "Login", told, about="shown this once", style="bold green")
    for account in login.without:
        told = f"nobody may act on {account} yet: {started.name} users accounts NAME --account {account}"
        _line(console, "Login", told, about="names all accounts of NAME", style="yellow")


def _line(console: Console, label: str, text: str, *, about: str = "", style: str = "") -> None:
    parts = (f"  {label:<{_LABEL}}", "cyan"), (text, style), (f"  ({about})" if about else "", "dim")
    console.print(Text.assemble(*parts), soft_wrap=not console.is_terminal)

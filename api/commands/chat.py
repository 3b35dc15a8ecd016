"""`chat`: talk with a desk that is served, from a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.chat.address import LOCAL_DESK
from api.commands.options import AsJson
from api.home import HomeContext

if TYPE_CHECKING:
    import httpx

    from api.chat.client import DeskClient
    from api.chat.login import Credential
    from api.chat.terminal import Ask

URL_VARIABLE, KEY_VARIABLE, PASSWORD_VARIABLE = "ALGOTRENDY_DESK_URL", "ALGOTRENDY_DESK_KEY", "ALGOTRENDY_PASSWORD_FILE"
_USER = "operator"  # whom the first start of `serve` makes


def chat(
    ctx: HomeContext,
    text: Annotated[str | None, typer.Argument(help="One question: its answer is printed, and that is all.")] = None,
    url: Annotated[
        str, typer.Option(metavar="URL", envvar=URL_VARIABLE, help="Where a desk answers: the address `serve` prints.")
    ] = LOCAL_DESK,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Who logs in. Default: who did last.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Which account to talk about. Default: the first.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin a new thread; else the last one goes on.")] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar=PASSWORD_VARIABLE,
            help=f"Holds the password, for programs. {KEY_VARIABLE} may hold an API key instead.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the desk, confirm its cards, approve and halt, over the API of a desk that is served. Without TEXT: a conversation."""
    if as_json and text is None:
        raise typer.BadParameter("--json goes with a question: algotrendy chat --json TEXT")
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with asyncio.Runner() as runner:
        session = _Session(ctx.obj, url, user, password_file, account, interactive=interactive and text is None)
        try:
            raise typer.Exit(session.talk(runner, text, new=new, as_json=as_json))
        finally:
            runner.run(session.close())


class _Session:
    """From logging in to the last word."""

    def __init__(
        self, home: Path, url: str, user: str | None, password_file: Path | None, account: str | None, *, interactive: bool
    ) -> None:
        from api.chat.client import http_client

        self._home, self._url, self._user, self._password_file = home, url.rstrip("/"), user, password_file
        self._account, self._interactive = account, interactive
        self._http: httpx.AsyncClient = http_client(url)

    async def close(self) -> None:
        await self._http.aclose()

    def talk(self, runner: asyncio.Runner, text: str | None, *, new: bool, as_json: bool) -> int:
        from api.chat.chat import Chat
        from api.chat.terminal import Terminal
        from api.console.screen import output, silent

        client, me = self._logged_in(runner)
        account = runner.run(self._which(client, me))
        talk = Chat(client, silent() if as_json else output(), account)
        if not new:
            talk.thread = runner.run(_last_thread(client, account))
        if text is not None:
            return _once(runner, talk, text, as_json=as_json)
        told = "goes on in the last thread, /new begins another" if talk.thread else "a new thread"
        talk.note(f"{me['principal']} on {account} at {self._url}: {told}; /help lists the commands")
        approves = "intent:approve" in me["actions"]
        Terminal(runner, talk, _asking(self._interactive), interactive=self._interactive, approves=approves).talk()
        return 0

    def _logged_in(self, runner: asyncio.Runner) -> tuple[DeskClient, Any]:
        """A client that the desk accepts, and who it is there."""
        from api.chat.client import DeskClient
        from api.chat.login import KeyCredential, LoginFile
        from trading_core.domain.errors import NotAuthenticated

        file = LoginFile(self._home)
        credential: Credential
        if key := os.environ.get(KEY_VARIABLE, "").strip():
            from pydantic import SecretStr

            credential = KeyCredential(SecretStr(key))
            return (client := DeskClient(self._http, credential)), runner.run(client.get("/auth/me"))
        kept = file.get(self._url)
        if kept is not None and self._user in (None, kept.user):
            from api.chat.login import LoginCredential

            client = DeskClient(self._http, LoginCredential(file, self._url, kept))
            try:
                return client, runner.run(client.get("/auth/me"))
            except NotAuthenticated:
                self._user = self._user or kept.user
        client = DeskClient(self._http, self._log_in(runner, file))
        return client, runner.run(client.get("/auth/me"))

    def _log_in(self, runner: asyncio.Runner, file: Any) -> Credential:
        from pydantic import SecretStr

        from api.chat.login import LoginCredential, log_in
        from trading_core.domain.errors import NotAuthenticated

        user = self._user or (self._interactive and input(f"User [{_USER}]: ").strip()) or _USER
        if self._password_file is not None:
            password = self._password_file.read_text(encoding="utf-8").rstrip("\r\n")
        elif sys.stdin.isatty():
            import getpass

            password = getpass.getpass(f"Password of {user}: ")
        else:
            raise NotAuthenticated(
                f"there is no login at {self._url} yet, and nobody to ask for a password",
                not_done="Nothing was asked",
                next_step=f"Run `algotrendy chat` once in a terminal, or set {PASSWORD_VARIABLE} or {KEY_VARIABLE}",
            )
        login = runner.run(log_in(self._http, user, SecretStr(password)))
        file.put(self._url, login)
        return LoginCredential(file, self._url, login)

    async def _which(self, client: DeskClient, me: Any) -> str:
        """The account that is meant: one that runs here before others."""
        from trading_core.domain.errors import InvalidInput

        known = (await client.get("/accounts", limit=200))["items"]
        names = [one["id"] for one in sorted(known, key=lambda one: not one["desk_here"])]
        if self._account is not None and self._account not in names:
            raise InvalidInput(
                f"{me['username']} has no account {self._account!r}",
                not_done="Nothing was asked",
                next_step=f"There is {', '.join(names)}" if names else "Ask an admin for one: algotrendy users accounts",
            )
        if not names:
            raise InvalidInput(
                f"{me['username']} may act on no account that is on record",
                not_done="Nothing was asked",
                next_step="Ask an admin for one (algotrendy users accounts), or start a desk",
            )
        return self._account or names[0]


async def _last_thread(client: DeskClient, account: str) -> str | None:
    found = (await client.get("/conversations", limit=50))["items"]
    return next((one["id"] for one in found if one["account"] == account), None)


def _once(runner: asyncio.Runner, talk: Any, text: str, *, as_json: bool) -> int:
    """One question. Its cards are shown and never confirmed."""
    from api.chat.cards import show_card

    turn = runner.run(talk.ask(text))
    if as_json:
        said = {
            "conversation": talk.thread,
            "ended": turn.ended,
            "error": turn.error,
            "messages": turn.messages,
            "proposals": turn.cards,
        }
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
    for card in () if as_json else turn.cards:
        show_card(talk.console, card)
        talk.note("Nothing was sent: confirm the card in `algotrendy chat`, or over the API.", "yellow")
    return 0 if turn.ended == "run_done" and not any(one.get("failed") for one in turn.messages) else 1


def _asking(interactive: bool) -> Ask:
    """How lines are read: with editing and history where a person types them."""
    if not interactive:
        return lambda _: input()
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # input() uses it once it is there
    return input

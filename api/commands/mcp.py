"""`mcp`: the desk as a tool server for MCP clients on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.chat.address import LOCAL_DESK

if TYPE_CHECKING:
    from pydantic import SecretStr

URL_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE = "ALGOTRENDY_DESK_URL", "ALGOTRENDY_DESK_KEY", "ALGOTRENDY_DESK_KEY_FILE"


def mcp(
    url: Annotated[
        str, typer.Option(metavar="URL", envvar=URL_VARIABLE, help="Where a desk answers: the address `serve` prints.")
    ] = LOCAL_DESK,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar=KEY_FILE_VARIABLE,
            help=f"Holds an API key of the desk. {KEY_VARIABLE} may hold the key itself.",
        ),
    ] = None,
    trade: Annotated[
        bool,
        typer.Option("--trade", help="Also hand on what changes what the desk does: confirm, approve, reject, halt, cycles."),
    ] = False,
) -> None:
    """Speak MCP on standard input and output, for a client that starts this: the desk's tools, with the rights of an API key."""
    import asyncio
    import os

    from api.mcp.session import DeskDoor, serve_stdio

    asyncio.run(serve_stdio(DeskDoor(url, _key(key_file, os.environ.get(KEY_VARIABLE, "")), trade)))


def _key(file: Path | None, given: str) -> SecretStr:
    from pydantic import SecretStr

    from trading_core.domain.errors import ConfigurationError

    text = (file.read_text(encoding="utf-8") if file is not None else given).strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ConfigurationError(
            "there is no API key" if not text else "what was given is no API key",
            not_done="Nothing was started",
            next_step=f"Make one on the desk (docs/mcp.md), and name its file in {KEY_FILE_VARIABLE}",
        )
    return SecretStr(text)

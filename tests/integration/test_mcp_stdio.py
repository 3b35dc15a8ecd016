"""`algotrendy mcp` as a client starts it: a process of its own, which speaks to a real server."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr
from typer.testing import CliRunner

from api.cli import app
from api.mcp.session import DeskDoor, handing_on, serve_stdio
from tests.http.talking_desk import TalkingDesk, talking_desk
from tests.http.test_mcp_http import ACTS, call, client_of, told
from trading_core.domain.errors import ConfigurationError


@asynccontextmanager
async def started(desk: TalkingDesk, key_file: Path, *options: str) -> AsyncIterator[Client]:
    """A client of a process that it has started."""
    variables = {**os.environ, "ALGOTRENDY_DESK_KEY_FILE": str(key_file), "ALGOTRENDY_DESK_URL": desk.url}
    command = StdioServerParameters(command=sys.executable, args=["-m", "api.cli", "mcp", *options], env=variables)
    async with Client(command) as client:
        yield client


async def test_a_client_starts_it_and_talks_to_the_desk(sqlite_copy: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    async with talking_desk(sqlite_copy) as desk:
        key_file.write_text(f"{await desk.key('trader')}\n")
        async with started(desk, key_file) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert not ACTS & tools.keys(), "without --trade nothing that acts is offered"
            assert {"ask_desk", "get_portfolio", "propose_order", "list_approvals"} <= tools.keys()
            pieces: list[str] = []

            async def hear(_: float, __: float | None, message: str | None) -> None:
                pieces.append(message or "")

            answer = await client.call_tool("ask_desk", {"question": "what is our exposure?"}, progress_callback=hear)
            assert "24.85 %" in told(answer)
            assert pieces
            assert told(answer).startswith("".join(pieces))
            card = await call(client, "propose_order", symbol="SOL/USDT", side="sell", fraction=0.5)
            confirmation = {"proposal_id": card["card"], "content_hash": card["content_hash"]}
            with pytest.raises(MCPError, match="--trade"):
                await client.call_tool("confirm_order", confirmation)
            assert all(order.purpose.value != "exit" for order in await desk.orders())
        key = key_file.read_text().strip()
        async with Client(handing_on(lambda: client_of(desk, key), trade=True)) as trading:
            assert {tool.name for tool in (await trading.list_tools()).tools} >= ACTS
            assert (await call(trading, "confirm_order", **confirmation))["run"]["state"] == "done"
            assert sum(order.purpose.value == "exit" for order in await desk.orders()) == 1
        with pytest.raises(ConfigurationError, match="does not take the key"):
            await serve_stdio(DeskDoor(desk.url, SecretStr("atk_wrong_key")))
    async with Client(handing_on(lambda: client_of(desk, key), trade=True)) as alone:
        with pytest.raises(MCPError, match="cannot be reached now"):
            await alone.call_tool("get_portfolio", {})
    with pytest.raises(ConfigurationError, match="no desk answers"):
        await serve_stdio(DeskDoor(desk.url, SecretStr("atk_wrong_key")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "there is no API key"),
        (("--key-file", "missing"), "missing: No such file"),
        (("--url", "ftp://desk"), "no address of a desk"),
        (("--url", "http://desk.example"), "unencrypted"),
    ],
)
def test_what_cannot_be_started_says_why(options: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOTRENDY_DESK_KEY_FILE", raising=False)
    monkeypatch.setenv("ALGOTRENDY_DESK_KEY", "atk_some_key" if "--url" in options else "")
    result = CliRunner().invoke(app, ["mcp", *options])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == "", "standard output is the client's"

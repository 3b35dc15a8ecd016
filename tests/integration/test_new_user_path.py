"""What a new user does on the first day, at two real terminals: start, log in, ask, approve, halt, resume."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from tests.integration.new_user import screen, walk

_CITED = re.compile(r"\[(e[0-9a-f]{8})\]")


def test_the_path_of_a_new_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with screen(["serve", "--port", "0", "--no-schedule"], home) as desk:
        shown = walk(desk, home, ask_for_cycle=True)
        url = re.search(r"(http://\S+)/api/v1", desk.flat)
        assert url is not None

        # The login that was kept is enough from now on, and a program may ask but never confirm.
        kept = home / "chat-logins.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        with screen(["chat", "--url", url[1], "--new", "--json", "buy 100 USDT of ETH"], home) as program:
            assert program.end() == 0
            said = json.loads(program.text)
        assert said["ended"] == "run_done"
        (card,) = said["proposals"]
        assert card["ticket"]["notional"] == "100"

        desk.interrupt()
        desk.until(r"Stopped\.")
        assert desk.end() == 0
        assert len(re.findall(r"gate ETH entry: buy [\d.]+ denied", desk.flat)) == 1

    with closing(sqlite3.connect(home / "desk" / "ledger.db")) as ledger:
        evidence = {row[0] for row in ledger.execute("SELECT id FROM evidence")}
        orders = ledger.execute("SELECT symbol, purpose, state FROM orders ORDER BY created_at").fetchall()
        proposals = [row[0] for row in ledger.execute("SELECT state FROM proposals ORDER BY created_at")]
        approvals = ledger.execute("SELECT state, decided_by, reason FROM approvals").fetchall()
    cited = set(_CITED.findall(shown))
    assert len(cited) >= 5
    assert cited <= evidence
    assert [each[:2] for each in orders] == [
        ("SOL/USDT", "entry"), ("SOL/USDT", "stop"), ("ETH/USDT", "entry"), ("ETH/USDT", "stop"),
    ]  # fmt: skip
    assert [state for _, purpose, state in orders if purpose == "entry"] == ["filled", "filled"]
    assert proposals == ["confirmed", "confirmed", "open"]
    assert ("approved", "user:operator", "within this week's plan") in approvals

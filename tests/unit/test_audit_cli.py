"""`algotrendy audit`, over a real ledger."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
ENTRY = AuditEntry(AT, "anna", AuditAction.RISK_HALTED, SubjectKind.ACCOUNT, "paper", {"state": "active"}, {"state": "halted"})


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger of the live desk with three rows on its trail."""
    path = tmp_path / "home" / "desk" / "ledger.db"

    async def fill() -> None:
        async with await Database.open(path) as database, database.transaction() as uow:
            for day, actor in enumerate(("anna", "=bob", "anna")):
                await uow.audit.append(replace(ENTRY, at=AT + timedelta(days=day), actor=actor))

    asyncio.run(fill())
    return path


def audit(ledger: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments, "--database", str(ledger)])


def tamper(ledger: Path, statement: str) -> None:
    with sqlite3.connect(ledger) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    connection.close()


def test_a_whole_chain_holds_and_its_head_is_the_anchor_of_an_export(ledger: Path) -> None:
    exported = audit(ledger, "export")
    found = re.fullmatch(r"head of row 3: ([0-9a-f]{64})\n", exported.stderr)
    assert found
    assert len(exported.stdout.splitlines()) == 3
    verified = audit(ledger, "verify", "--head", found[1])
    assert (verified.exit_code, verified.stdout) == (0, f"3 rows: the chain holds; head {found[1]}\n")
    document = json.loads(audit(ledger, "verify", "--json").stdout)
    assert document == {"holds": True, "rows": 3, "head": {"sequence": 3, "hash": found[1]}, "faults": []}


def test_tampering_is_named_and_fails(ledger: Path) -> None:
    tamper(ledger, "UPDATE audit_log SET actor = 'mallory' WHERE sequence = 2")
    verified = audit(ledger, "verify")
    assert verified.exit_code == 1
    assert verified.stdout.splitlines()[0] == "row 2: changed, its hash does not belong to its content"
    assert "the chain is broken (findings: 1)" in verified.stdout
    document = json.loads(audit(ledger, "verify", "--json").stdout)
    assert (document["holds"], len(document["faults"])) == (False, 1)


def test_an_end_that_was_cut_off_is_found_with_the_exported_head(ledger: Path) -> None:
    head = audit(ledger, "export").stderr.split()[-1]
    second = json.loads(audit(ledger, "export").stdout.splitlines()[1])
    tamper(ledger, "DELETE FROM audit_log WHERE sequence = 3")
    assert "row 3: missing, the head stands at row 3" in audit(ledger, "verify").stdout
    tamper(ledger, f"UPDATE audit_head SET sequence = 2, hash = '{second['hash']}'")  # noqa: S608 - the tamperer's own
    assert audit(ledger, "verify").exit_code == 0
    verified = audit(ledger, "verify", "--head", head)
    assert verified.exit_code == 1
    assert f"no row up to here has the hash {head}" in verified.stdout
    assert audit(ledger, "verify", "--head", "abc").exit_code == 2


def test_exports_are_filtered_and_csv_is_harmless(ledger: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(audit(ledger, "export", "--format", "csv").stdout, newline="")))
    assert [row["actor"] for row in rows] == ["anna", "'=bob", "anna"]
    by_bob = audit(ledger, "export", "--actor", "=bob").stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in by_bob] == [2]
    of_a_day = audit(ledger, "export", "--since", "2025-03-02", "--until", "2025-03-03").stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in of_a_day] == [2]
    assert audit(ledger, "export", "--action", "risk.resumed").stdout == ""
    assert audit(ledger, "export", "--since", "yesterday").exit_code == 2


def test_the_newest_rows_are_listed_first(ledger: Path) -> None:
    listed = audit(ledger, "list", "--limit", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in listed] == [3, 2]
    table = audit(ledger, "list", "--actor", "anna").stdout
    assert "risk.halted" in table
    assert "=bob" not in table


def test_the_live_desk_of_the_home_folder_is_the_default(ledger: Path) -> None:
    home = str(ledger.parents[1])
    early = CliRunner().invoke(app, ["--home", home, "audit", "verify"])
    assert early.stdout.startswith("3 rows: the chain holds")
    elsewhere = CliRunner().invoke(app, ["--home", f"{home}/nothing", "audit", "verify"])
    assert elsewhere.exit_code == 2
    assert "there is no session" in elsewhere.stderr

    async def start() -> None:
        async with await Database.open(ledger) as database, database.transaction() as uow:
            await uow.sessions.add(SessionRecord("s1", {}, AT))

    asyncio.run(start())
    for session in ([], ["--session", "s1"]):
        verified = CliRunner().invoke(app, ["--home", home, "audit", "verify", *session])
        assert verified.stdout.startswith("3 rows: the chain holds")


def test_an_export_is_verified_as_the_documentation_shows(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    lines = audit(ledger, "export").stdout
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    exec(compile(code, "docs/audit.md", "exec"), {})  # noqa: S102  # the page's own example
    monkeypatch.setattr("sys.stdin", io.StringIO(lines.replace("=bob", "=rob")))
    with pytest.raises(AssertionError, match="row 2"):
        exec(compile(code, "docs/audit.md", "exec"), {})  # noqa: S102 - the page's own example

"""`algotrendy users`, `users keys` and `auth`, over a real database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from api import secret_input
from api.cli import app
from tests.unit.auth_cases import CHEAP, random_bytes
from trading_core.audit.verify import verify_audit
from trading_core.auth import service
from trading_core.auth.identity import Identity
from trading_core.auth.passwords import PasswordHasher
from trading_core.auth.permissions import Action, operator
from trading_core.auth.roles import Role
from trading_core.auth.service import Auth
from trading_core.auth.tokens import KeyRing, SigningKey
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import AlgoTrendyError, InvalidInput
from trading_core.persistence.session import Database

PASSWORD, OTHER = "tulip ferry onyx lantern", "granite willow comet 71"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, sqlite_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose live desk has a ledger, and no secret in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALGOTRENDY_HOME", "home")
    monkeypatch.setattr("getpass.getuser", lambda: "olga")
    monkeypatch.setattr(service, "PasswordHasher", lambda _, token_bytes: PasswordHasher(CHEAP, token_bytes))
    for name in ("DATABASE", "TOKEN_SIGNING_KEY", "TOKEN_RETIRED_KEYS"):
        monkeypatch.delenv(f"ALGOTRENDY_{name}", raising=False)
    (tmp_path / "home" / "desk").mkdir(parents=True)
    sqlite_copy.rename(tmp_path / "home" / "desk" / "ledger.db")
    return tmp_path / "home"


def algotrendy(*arguments: str, answer: str = "", status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    assert result.exit_code == status, result.output
    for secret in (PASSWORD, OTHER):
        assert secret not in result.output
    return result


def created(name: str = "alice", role: str = "trader", *options: str) -> Result:
    email = f"{name}@example.org"
    return algotrendy("users", "create", name, "--email", email, "--role", role, *options, answer=f"{PASSWORD}\n")


def listed() -> dict[str, Any]:
    return {each["username"]: each for each in json.loads(algotrendy("users", "list", "--json").stdout)}


def let_in(home: Path, *, password: str = "", key: str = "", name: str = "alice") -> Identity | None:
    """Who the desk takes somebody for."""

    async def ask() -> Identity:
        async with await Database.open(home / "desk" / "ledger.db") as database:
            auth = Auth.over(database, SystemClock(), KeyRing(SigningKey.generate(random_bytes().randbytes)))
            if key:
                return await auth.api_keys.authenticate(SecretStr(key))
            return await auth.logins.authenticate((await auth.logins.login(name, SecretStr(password))).access)

    try:
        return asyncio.run(ask())
    except AlgoTrendyError:
        return None


def trail(home: Path) -> list[tuple[str, str]]:
    """What the audit trail says was done, by whom; its chain holds."""

    async def check() -> bool:
        async with await Database.open(home / "desk" / "ledger.db") as database:
            return (await verify_audit(operator("olga"), database, print)).holds

    assert asyncio.run(check())
    with closing(sqlite3.connect(home / "desk" / "ledger.db")) as connection:
        return connection.execute("SELECT actor, action FROM audit_log ORDER BY sequence").fetchall()


def test_a_user_is_created_listed_and_let_in(home: Path) -> None:
    assert (
        created("alice", "trader", "--account", "paper", "--account", "live").stdout == "alice: trader on live, paper, active\n"
    )
    told = listed()["alice"]
    assert (told["role"], told["accounts"], told["active"], told["last_login"]) == ("trader", ["live", "paper"], True, None)
    identity = let_in(home, password=PASSWORD)
    assert identity is not None
    assert identity.user.role is Role.TRADER
    assert listed()["alice"]["last_login"] is not None
    assert "alice" in algotrendy("users", "list").stdout
    assert trail(home) == [("olga", "user.created"), ("user:alice", "user.logged_in")]


def test_roles_accounts_and_passwords_are_changed_by_the_person_at_the_machine(home: Path) -> None:
    created("alice", "trader", "--account", "paper")
    assert algotrendy("users", "role", "ALICE", "viewer").stdout == "alice: viewer on paper, active\n"
    assert algotrendy("users", "accounts", "alice@example.org", "--account", "live").stdout == "alice: viewer on live, active\n"
    assert algotrendy("users", "accounts", "alice").stdout == "alice: viewer on no account, active\n"
    let_in(home, password=PASSWORD)
    assert algotrendy("users", "logout", "alice").stdout == "1 logins ended\n"
    algotrendy("users", "reset-password", "alice", answer=f"{OTHER}\n")
    assert let_in(home, password=PASSWORD) is None
    assert let_in(home, password=OTHER) is not None
    assert algotrendy("users", "deactivate", "alice").stdout == "alice: viewer on no account, deactivated\n"
    assert let_in(home, password=OTHER) is None
    assert algotrendy("users", "activate", "alice").stdout == "alice: viewer on no account, active\n"
    assert let_in(home, password=OTHER) is not None
    done = [action for actor, action in trail(home) if actor == "olga"]
    assert len(done) == 8
    assert {(actor, action) for actor, action in trail(home) if actor != "olga"} == {("user:alice", "user.logged_in")}


@pytest.mark.parametrize(
    ("arguments", "answer", "said"),
    [
        (["users", "create", "bob", "--email", "b@c", "--role", "viewer"], "short\n", "shorter than 12 characters"),
        (["users", "create", "bob", "--email", "b@c", "--role", "viewer"], "", "no password for bob was given"),
        (["users", "create", "b", "--email", "b@c", "--role", "viewer"], f"{PASSWORD}\n", "cannot be a user name"),
        (["users", "create", "alice", "--email", "b@c", "--role", "viewer"], f"{PASSWORD}\n", "is taken"),
        (["users", "create", "bob", "--email", "b@c", "--role", "king"], f"{PASSWORD}\n", "'king' is not one of"),
        (["users", "role", "bob", "viewer"], "", "no user is called 'bob'"),
        (["users", "reset-password", "bob"], f"{PASSWORD}\n", "no user is called 'bob'"),
        (["users", "list", "--database", "nowhere.db"], "", "there is no database 'nowhere.db'"),
        (["users", "keys", "issue", "alice", "bot", "--scope", "users:manage"], "", "may not give a key what it has not"),
        (["users", "keys", "issue", "alice", "bot", "--scope", "market:read", "--account", "live"], "", "'live'"),
        (["users", "keys", "revoke", "k"], "", "no key has the id 'k'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(home: Path, arguments: list[str], answer: str, said: str) -> None:
    created()
    before = listed()
    result = algotrendy(*arguments, answer=answer, status=2)
    assert said in " ".join(result.stderr.split())
    assert listed() == before
    assert not Path("nowhere.db").exists()


def test_a_first_user_makes_the_database(home: Path) -> None:
    algotrendy(
        "users", "create", "alice", "--email", "a@b", "--role", "admin", "--database", "new/desk.db", answer=f"{PASSWORD}\n"
    )
    assert "alice" in algotrendy("users", "list", "--database", "new/desk.db").stdout


def test_demo_users_get_random_passwords_that_are_shown_once(home: Path) -> None:
    made = algotrendy("users", "demo")
    assert "Never on a desk with money" in made.stderr
    shown = dict(line.split() for line in made.stdout.splitlines())
    assert set(shown) == {f"demo-{role.value}" for role in Role}
    assert len(set(shown.values())) == len(Role)
    for name, password in shown.items():
        identity = let_in(home, password=password, name=name)
        assert identity is not None
        assert f"demo-{identity.user.role.value}" == name
        assert password not in (home / "desk" / "ledger.db").read_bytes().decode("latin-1")
    again = algotrendy("users", "demo", "--json", status=2)
    assert "is taken" in again.stderr
    assert again.stdout == ""


def test_demo_users_stay_off_a_server_unless_it_is_said_to_be_a_test(postgres_url: str) -> None:
    refused = algotrendy("users", "demo", "--database", postgres_url, status=2)
    assert "--yes-this-is-a-test" in refused.stderr
    assert json.loads(algotrendy("users", "list", "--json", "--database", postgres_url).stdout) == []
    made = json.loads(algotrendy("users", "demo", "--json", "--yes-this-is-a-test", "--database", postgres_url).stdout)
    assert [each["role"] for each in made] == [role.value for role in Role]
    shown = json.loads(algotrendy("users", "list", "--json", "--database", postgres_url).stdout)
    assert {each["username"] for each in shown} == {each["username"] for each in made}


def test_a_machines_key_is_shown_once_works_in_its_scope_and_is_revoked(home: Path) -> None:
    created("bot", "trader", "--account", "paper")
    issued = algotrendy("users", "keys", "issue", "bot", "nightly", "--scope", "market:read", "--account", "paper", "--days", "7")
    key = issued.stdout.strip()
    identity = let_in(home, key=key)
    assert identity is not None
    assert (set(identity.principal.actions), set(identity.principal.accounts)) == ({Action.READ_MARKET}, {"paper"})
    (shown,) = json.loads(algotrendy("users", "keys", "list", "bot", "--json").stdout)
    assert (shown["name"], shown["scopes"], shown["accounts"], shown["revoked_at"]) == (
        "nightly",
        ["market:read"],
        ["paper"],
        None,
    )
    assert key.rpartition("_")[2] not in json.dumps(shown) + algotrendy("users", "keys", "list", "bot").stdout
    algotrendy("users", "keys", "revoke", shown["id"])
    assert let_in(home, key=key) is None
    assert trail(home)[1:] == [("olga", "api_key.issued"), ("olga", "api_key.revoked")]


def test_a_deactivated_user_gets_no_key() -> None:
    created()
    algotrendy("users", "deactivate", "alice")
    refused = algotrendy("users", "keys", "issue", "alice", "bot", "--scope", "market:read", status=2)
    assert "'alice' is deactivated" in refused.stderr


class Terminal:
    """A person who types."""

    def __init__(self, *typed: str) -> None:
        self.typed, self.asked = list(typed), list[str]()

    def isatty(self) -> bool:
        return True

    def answer(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.typed.pop(0)


@pytest.mark.parametrize(
    ("typed", "error"),
    [((PASSWORD, PASSWORD), None), ((PASSWORD, OTHER), "the two are not the same"), (("",), "no password was given")],
)
def test_a_password_is_typed_twice_without_echo(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], error: str | None
) -> None:
    terminal = Terminal(*typed)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", terminal.answer)
    if error is None:
        assert secret_input.ask_secret("Password", twice=True).get_secret_value() == PASSWORD
        assert terminal.asked == ["Password: ", "Password, again: "]
    else:
        with pytest.raises(InvalidInput, match=error):
            secret_input.ask_secret("Password", twice=True)


def test_no_password_key_or_secret_can_be_given_as_an_argument() -> None:
    for command in (["users", "create"], ["users", "reset-password"], ["credentials", "put"], ["auth", "new-key"]):
        shown = algotrendy(*command, "--help").stdout
        assert "--password" not in shown
        assert "--secret" not in shown
        assert "--key" not in shown


def test_keys_that_sign_tokens_are_made_listed_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`algotrendy auth new-key`" in algotrendy("auth", "keys", status=2).stderr
    first = algotrendy("auth", "new-key")
    assert first.stdout.startswith("-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE" not in first.stderr
    monkeypatch.setenv("ALGOTRENDY_TOKEN_SIGNING_KEY", first.stdout)
    (kid,) = (line.split()[0] for line in algotrendy("auth", "keys").stdout.splitlines())
    assert kid in first.stderr
    retired = algotrendy("auth", "public-key").stdout
    assert retired.startswith("-----BEGIN PUBLIC KEY-----")
    second = algotrendy("auth", "new-key").stdout
    assert second != first.stdout
    monkeypatch.setenv("ALGOTRENDY_TOKEN_RETIRED_KEYS", retired)
    monkeypatch.setenv("ALGOTRENDY_TOKEN_SIGNING_KEY", second)
    signs, old = algotrendy("auth", "keys").stdout.splitlines()
    assert signs.endswith("signs")
    assert old == f"{kid}  retired"
    monkeypatch.setenv("ALGOTRENDY_TOKEN_RETIRED_KEYS", first.stdout)
    assert "holds something else than public keys" in algotrendy("auth", "keys", status=2).stderr

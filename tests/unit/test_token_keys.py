"""Where the keys of access tokens come from, and how one follows another."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr

from tests.unit.auth_cases import START, outcome, random_bytes
from trading_core.auth.roles import Role
from trading_core.auth.token_keys import RETIRED_NAME, SIGNING_NAME, load_token_keys
from trading_core.auth.tokens import AccessTokens, KeyRing, SigningKey, TokenSettings
from trading_core.domain.errors import ConfigurationError, NotAuthenticated
from trading_core.secrets.environment import EnvironmentSecrets
from trading_core.secrets.port import SecretChain

OLDER, OLD, NEW = (SigningKey.generate(random_bytes(seed).randbytes) for seed in (1, 2, 3))


def chain(signing: str = "", retired: str = "") -> SecretChain:
    given = {"ALGOTRENDY_TOKEN_SIGNING_KEY": signing, "ALGOTRENDY_TOKEN_RETIRED_KEYS": retired}
    return SecretChain([EnvironmentSecrets(given)])


def issued(ring: KeyRing) -> SecretStr:
    return AccessTokens(ring, TokenSettings()).issue(user_id="u", login_id="l", role=Role.VIEWER, token_id="t", now=START)  # noqa: S106  # no password: an id


def private(key: SigningKey) -> str:
    return key.to_pem().get_secret_value()


async def test_a_token_outlives_a_change_of_keys_and_not_the_end_of_its_own() -> None:
    token = issued(await load_token_keys(chain(private(OLD))))
    rotated = await load_token_keys(chain(private(NEW), OLDER.verifying.to_pem() + OLD.verifying.to_pem()))
    assert rotated.kids == tuple(key.verifying.kid for key in (NEW, OLDER, OLD))
    soon = START + timedelta(minutes=1)
    assert AccessTokens(rotated, TokenSettings()).verify(token, soon).user_id == "u"
    assert AccessTokens(rotated, TokenSettings()).verify(issued(rotated), soon).user_id == "u"
    without = await load_token_keys(chain(private(NEW), OLDER.verifying.to_pem()))
    with pytest.raises(NotAuthenticated):
        AccessTokens(without, TokenSettings()).verify(token, soon)


async def test_without_a_signing_key_it_says_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="`algotrendy auth new-key`"):
        await load_token_keys(chain())


@pytest.mark.parametrize(
    "retired",
    [private(OLD), "nonsense", OLD.verifying.to_pem() + "nonsense", OLD.verifying.to_pem()[:-30], OLD.verifying.to_pem()[5:]],
)
async def test_what_is_no_list_of_public_keys_is_refused_and_not_shown(retired: str) -> None:
    said = await outcome(load_token_keys(chain(private(NEW), retired)))
    assert said.startswith(f"ConfigurationError: {RETIRED_NAME!r} holds something else than public keys in PEM")
    assert not any(line in said for line in retired.splitlines())


@pytest.mark.parametrize(
    "signing", ["nonsense", OLD.verifying.to_pem(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
async def test_what_is_no_private_key_signs_nothing(signing: str) -> None:
    said = await outcome(load_token_keys(chain(signing)))
    assert said.startswith("ConfigurationError: what should be the private half")
    assert signing not in said


async def test_a_public_key_of_another_kind_is_refused() -> None:
    damaged = OLD.verifying.to_pem().replace("MCow", "MCox")
    assert "public half" in await outcome(load_token_keys(chain(private(NEW), damaged)))


def test_the_names_are_what_the_documentation_says() -> None:
    assert (SIGNING_NAME, RETIRED_NAME) == ("token-signing-key", "token-retired-keys")

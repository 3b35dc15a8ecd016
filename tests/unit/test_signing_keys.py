"""The key that signs access tokens: kept in the home folder only when nobody else has one, and for its owner alone."""

import asyncio
import secrets
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.signing_keys import FILE_NAME, KeyFile, token_keys
from trading_core.auth.token_keys import SIGNING_NAME
from trading_core.auth.tokens import SigningKey
from trading_core.domain.errors import ConfigurationError
from trading_core.secrets.environment import EnvironmentSecrets

NOBODY = EnvironmentSecrets({})


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_it_is_made_once_and_found_again(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    first = await token_keys(home, NOBODY)
    assert (await token_keys(home, NOBODY)).kids == first.kids
    assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600
    assert names(home) == [FILE_NAME]  # no draft is left behind


async def test_a_provider_that_has_one_comes_first_and_no_file_is_made(tmp_path: Path) -> None:
    key = SigningKey.generate(secrets.token_bytes)
    provider = EnvironmentSecrets({"ALGOTRENDY_TOKEN_SIGNING_KEY": key.to_pem().get_secret_value()})
    assert (await token_keys(tmp_path, provider)).kids == (key.verifying.kid,)
    assert names(tmp_path) == []


async def test_of_several_processes_that_start_at_once_all_have_the_same(tmp_path: Path) -> None:
    files = [KeyFile(tmp_path) for _ in range(8)]
    found: set[str] = set()
    for secret in await asyncio.gather(*(file.get(SIGNING_NAME) for file in files)):
        assert isinstance(secret, SecretStr)
        found.add(secret.get_secret_value())
    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
async def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    await token_keys(tmp_path, NOBODY)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(ConfigurationError, match="others than its owner"):
        await token_keys(tmp_path, NOBODY)


async def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("hunter2")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        await token_keys(tmp_path, NOBODY)
    assert "hunter2" not in str(refused.value)


async def test_it_answers_for_no_other_secret(tmp_path: Path) -> None:
    assert await KeyFile(tmp_path).get("credentials-key") is None
    assert names(tmp_path) == []

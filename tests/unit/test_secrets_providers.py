"""Secrets from the environment and from files, providers in a chain, and their settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from trading_core.domain.errors import ConfigurationError, InvalidInput, SecretUnavailable
from trading_core.secrets.environment import EnvironmentSecrets, environment
from trading_core.secrets.files import FileSecrets
from trading_core.secrets.port import LONGEST_NAME, MOST_BYTES, SecretChain, checked_name
from trading_core.secrets.settings import SecretsSettings, open_secrets

VALUE = "s3cr3t$VALUE"


def text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "../a", "a/b", "a.b", "a_b", "-a", "a-", "a--b", "é", "a\n", "a" * (LONGEST_NAME + 1), ".."]
)
async def test_what_could_lead_elsewhere_is_no_name(name: str, tmp_path: Path) -> None:
    for provider in (EnvironmentSecrets({}), FileSecrets(tmp_path)):
        with pytest.raises(InvalidInput, match="is no name of a secret"):
            await provider.get(name)


@given(st.lists(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True), min_size=2, max_size=2, unique=True))
async def test_two_names_are_two_variables(names: list[str]) -> None:
    first, second = (checked_name(name[:LONGEST_NAME].strip("-")) for name in names)
    variables = {f"ALGOTRENDY_{first.upper().replace('-', '_')}": VALUE}
    assert text(await EnvironmentSecrets(variables).get(first)) == VALUE
    assert (await EnvironmentSecrets(variables).get(second) is None) == (first != second)


async def test_the_environment_goes_before_the_file_and_both_are_taken_as_they_stand(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("ALGOTRENDY_API_KEY=from-the-file\nALGOTRENDY_OTHER='with $HOME and ${X}'\nALGOTRENDY_EMPTY=\nNOTHING\n")
    merged = environment({"ALGOTRENDY_API_KEY": VALUE}, dotenv)
    secrets = EnvironmentSecrets(merged)
    assert text(await secrets.get("api-key")) == VALUE
    assert text(await secrets.get("other")) == "with $HOME and ${X}"
    assert await secrets.get("empty") is None
    assert await secrets.get("missing") is None
    assert environment({"A": "b"}, tmp_path / "absent") == {"A": "b"}
    assert VALUE not in repr(secrets)
    assert environment({"A": "b"}, tmp_path) == {"A": "b"}
    dotenv.write_bytes(b"ALGOTRENDY_API_KEY=\xffkey")
    with pytest.raises(ConfigurationError, match="cannot be read: UnicodeDecodeError"):
        environment({}, dotenv)


async def test_a_blank_or_endless_value_is_an_error_and_not_a_secret(tmp_path: Path) -> None:
    for value in ("  \n", "x" * (MOST_BYTES + 1)):
        with pytest.raises(SecretUnavailable, match=r"it is (empty|longer)") as caught:
            await EnvironmentSecrets({"ALGOTRENDY_A": value}).get("a")
        assert "xx" not in str(caught.value)
        (tmp_path / "a").write_text(value)
        with pytest.raises(SecretUnavailable, match=r"it is (empty|longer)"):
            await FileSecrets(tmp_path).get("a")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("v\n", "v"),
        ("v\r\n", "v"),
        ("v", "v"),
        (" v ", " v "),
        ("v\n\n", "v\n"),
        ("-----BEGIN\nx\n-----END\n", "-----BEGIN\nx\n-----END"),
    ],
)
async def test_a_file_is_its_text_less_one_line_end(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "api-key").write_bytes(content.encode())
    assert text(await FileSecrets(tmp_path).get("api-key")) == expected
    assert await FileSecrets(tmp_path).get("other") is None


async def test_kubernetes_turns_a_link_and_the_new_value_is_read(tmp_path: Path) -> None:
    for day, value in (("..2025_03_01", "old"), ("..2025_03_02", "new")):
        (tmp_path / day).mkdir()
        (tmp_path / day / "api-key").write_text(value)
    (tmp_path / "..data").symlink_to("..2025_03_01")
    (tmp_path / "api-key").symlink_to("..data/api-key")
    secrets = FileSecrets(tmp_path)
    assert text(await secrets.get("api-key")) == "old"
    (tmp_path / "..new").symlink_to("..2025_03_02")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    assert text(await secrets.get("api-key")) == "new"


async def test_a_mount_that_failed_is_an_error_and_not_an_absence(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="its folder is not there"):
        await FileSecrets(tmp_path / "absent").get("api-key")
    (tmp_path / "api-key").symlink_to("..data/api-key")
    with pytest.raises(SecretUnavailable, match="it is a link to nothing"):
        await FileSecrets(tmp_path).get("api-key")


async def test_files_that_cannot_be_trusted_or_read_are_refused(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path)
    (tmp_path / "open").write_text(VALUE)
    (tmp_path / "open").chmod(0o666)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "binary").write_bytes(b"\xffkey")
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in {
        "open": "everybody can write",
        "folder": "Is a directory",
        "pipe": "not a file",
        "binary": "not text in UTF-8",
        "loop": "symbolic links",
    }.items():
        with pytest.raises(SecretUnavailable, match=reason) as caught:
            await secrets.get(name)
        assert VALUE not in str(caught.value)
        assert "xff" not in str(caught.value)
    (tmp_path / "docker").write_text(VALUE)
    (tmp_path / "docker").chmod(0o444)  # what Docker mounts
    assert text(await secrets.get("docker")) == VALUE


class Failing:
    name = "failing"
    closed = False

    async def get(self, name: str) -> SecretStr | None:
        raise SecretUnavailable(f"the secret {name!r} could not be read")

    async def close(self) -> None:
        self.closed = True


async def test_the_first_that_has_it_answers_and_a_failure_is_never_an_absence(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("file")
    (tmp_path / "other").write_text("file")
    first, files, failing = EnvironmentSecrets({"ALGOTRENDY_API_KEY": "variable"}), FileSecrets(tmp_path), Failing()
    assert text(await SecretChain([first, files]).get("api-key")) == "variable"
    assert text(await SecretChain([files, first]).get("api-key")) == "file"
    assert text(await SecretChain([first, files, failing]).get("other")) == "file"
    chain = SecretChain([first, failing, files])
    with pytest.raises(SecretUnavailable):
        await chain.get("other")
    with pytest.raises(ConfigurationError, match=r"no secret 'none' \(asked: environment, files\)\. Make one"):
        await SecretChain([first, files]).require("none", next_step="Make one")
    await chain.close()
    assert failing.closed


async def test_settings_name_the_providers_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("file")
    variables = {
        "ALGOTRENDY_SECRETS_PROVIDERS": "files, environment",
        "ALGOTRENDY_SECRETS_FILES_FOLDER": str(tmp_path),
        "ALGOTRENDY_SECRETS_VAULT_URL": "",
        "ALGOTRENDY_API_KEY": "variable",
        "ALGOTRENDY_ONLY": "here",
        "PATH": "/bin",
    }
    settings = SecretsSettings.parse(variables)
    assert settings.providers == ("files", "environment")
    secrets = open_secrets(settings, variables)
    assert text(await secrets.get("api-key")) == "file"
    assert text(await secrets.get("only")) == "here"
    await secrets.close()
    assert SecretsSettings.parse({}).providers == ("environment",)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PROVIDERS": "environment,vualt"}, "ALGOTRENDY_SECRETS_PROVIDERS"),
        ({"VUALT_URL": VALUE}, "ALGOTRENDY_SECRETS_VUALT_URL"),
        ({"PROVIDERS": "vault"}, "ALGOTRENDY_SECRETS_VAULT_URL is not set"),
        ({"PROVIDERS": "vault", "VAULT_URL": "http://x"}, "no ways to sign in"),
        ({"PROVIDERS": "vault", "VAULT_URL": "http://x", "VAULT_ROLE_ID": VALUE}, "no ways to sign in"),
        (
            {"PROVIDERS": "vault", "VAULT_URL": "http://x", "VAULT_TOKEN": VALUE, "VAULT_KUBERNETES_ROLE": "r"},
            "2 ways to sign in",
        ),
        ({"PROVIDERS": "aws"}, "ALGOTRENDY_SECRETS_AWS_REGION is not set"),
        ({"PROVIDERS": "azure"}, "ALGOTRENDY_SECRETS_AZURE_URL is not set"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_their_values(variables: dict[str, str], message: str) -> None:
    given = {f"ALGOTRENDY_SECRETS_{name}": value for name, value in variables.items()}
    with pytest.raises(ConfigurationError, match=message) as caught:
        open_secrets(SecretsSettings.parse(given), given)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "module", "settings"),
    [
        ("vault", "hvac", {"vault_url": "http://x", "vault_token": SecretStr(VALUE)}),
        ("aws", "boto3", {"aws_region": "eu-central-1"}),
        ("azure", "azure.identity", {"azure_url": "https://x"}),
    ],
)
def test_a_client_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, provider: str, module: str, settings: dict[str, object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'algotrendy\[{provider}\]'"):
        open_secrets(SecretsSettings.model_validate({"providers": (provider,), **settings}), {})


def test_settings_do_not_show_tokens() -> None:
    settings = SecretsSettings.parse({"ALGOTRENDY_SECRETS_VAULT_TOKEN": VALUE, "ALGOTRENDY_SECRETS_VAULT_SECRET_ID": VALUE})
    assert VALUE not in f"{settings!r}{settings}{settings.model_dump_json()}"

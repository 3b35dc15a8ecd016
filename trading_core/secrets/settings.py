"""Which providers are asked, from variables that begin with `ALGOTRENDY_SECRETS_`. A misspelt one is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from trading_core.domain.errors import ConfigurationError
from trading_core.secrets.aws import AwsSecrets
from trading_core.secrets.azure import AzureSecrets
from trading_core.secrets.environment import EnvironmentSecrets
from trading_core.secrets.files import DEFAULT_FOLDER, FileSecrets
from trading_core.secrets.port import SecretChain, SecretProvider
from trading_core.secrets.vault import AppRole, Kubernetes, Token, VaultSecrets

PREFIX = "ALGOTRENDY_SECRETS_"

Kind = Literal["environment", "files", "vault", "aws", "azure"]


class SecretsSettings(BaseModel):
    """Field names are the variables' names after the prefix, in lower case.

    Attributes:
        providers: asked in this order; in the variable, separated by commas.
        files_folder: with one file for each secret.
        vault_url: and one way to sign in: a token, a role id with a secret id, or a role for the pod's service account.
        aws_endpoint: only for a private one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    providers: tuple[Kind, ...] = ("environment",)
    files_folder: Path = DEFAULT_FOLDER
    vault_url: str | None = None
    vault_token: SecretStr | None = None
    vault_role_id: str | None = None
    vault_secret_id: SecretStr | None = None
    vault_kubernetes_role: str | None = None
    vault_namespace: str | None = None
    vault_mount: str = "secret"
    vault_folder: str = "algotrendy"
    aws_region: str | None = None
    aws_folder: str = "algotrendy"
    aws_endpoint: str | None = None
    azure_url: str | None = None
    azure_prefix: str = "algotrendy-"

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> Self:
        """Settings from variables; others than those with the prefix are not looked at.

        Raises:
            ConfigurationError: naming each variable that is unknown or has no usable value, and not its value.
        """
        given: dict[str, object] = {
            name.removeprefix(PREFIX).lower(): value for name, value in variables.items() if name.startswith(PREFIX) and value
        }
        if isinstance(listed := given.get("providers"), str):
            given["providers"] = tuple(part.strip() for part in listed.split(","))
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors(include_input=False)
            )
            raise ConfigurationError(problems, not_done="No secret was read", next_step="docs/secrets.md lists them") from None


def open_secrets(settings: SecretsSettings, variables: Mapping[str, str]) -> SecretChain:
    """The configured providers. Nothing is asked yet.

    Args:
        variables: what the provider `environment` reads; see `environment.environment`.

    Raises:
        ConfigurationError: a provider lacks a setting or its client.
    """
    return SecretChain([_opened(kind, settings, variables) for kind in settings.providers])


def _opened(kind: Kind, settings: SecretsSettings, variables: Mapping[str, str]) -> SecretProvider:
    match kind:
        case "environment":
            return EnvironmentSecrets(variables)
        case "files":
            return FileSecrets(settings.files_folder)
        case "vault":
            return VaultSecrets(
                _needed(settings.vault_url, "vault_url"),
                _vault_login(settings),
                mount=settings.vault_mount,
                folder=settings.vault_folder,
                namespace=settings.vault_namespace,
            )
        case "aws":
            region = _needed(settings.aws_region, "aws_region")
            return AwsSecrets(region, folder=settings.aws_folder, endpoint=settings.aws_endpoint)
        case "azure":
            return AzureSecrets(_needed(settings.azure_url, "azure_url"), prefix=settings.azure_prefix)


def _vault_login(settings: SecretsSettings) -> Token | AppRole | Kubernetes:
    ways: list[Token | AppRole | Kubernetes] = []
    if settings.vault_token is not None:
        ways.append(Token(settings.vault_token))
    if settings.vault_role_id is not None and settings.vault_secret_id is not None:
        ways.append(AppRole(settings.vault_role_id, settings.vault_secret_id))
    if settings.vault_kubernetes_role is not None:
        ways.append(Kubernetes(settings.vault_kubernetes_role))
    if len(ways) != 1:
        raise ConfigurationError(
            f"Vault was given {len(ways) or 'no'} ways to sign in, and needs one",
            not_done="No secret was read",
            next_step=f"Set {PREFIX}VAULT_TOKEN, or …VAULT_ROLE_ID and …VAULT_SECRET_ID, or …VAULT_KUBERNETES_ROLE",
        )
    return ways[0]


def _needed(value: str | None, field: str) -> str:
    if value is None:
        raise ConfigurationError(f"{PREFIX}{field.upper()} is not set", not_done="No secret was read", next_step="Set it")
    return value

"""`auth …`: the keys that sign access tokens. They live with the providers of secrets, never in the database."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from trading_core.auth.tokens import KeyRing

auth = typer.Typer(name="auth", no_args_is_help=True, help="The keys that sign access tokens.")

_STORE = """Store it as the secret token-signing-key (docs/secrets.md says where), and nowhere else.
In place of an older key: first add what `auth public-key` prints to the secret token-retired-keys, so that tokens of the older
one stay good until they expire. After a theft do not: every token of the older key is then refused at once."""


@auth.command()
def new_key() -> None:
    """Make a private key and print it, this once, on standard output. Nothing is stored."""
    from trading_core.auth.tokens import SigningKey

    key = SigningKey.generate(secrets.token_bytes)
    typer.echo(key.to_pem().get_secret_value(), nl=False)
    typer.echo(f"Key {key.verifying.kid}.\n{_STORE}", err=True)


@auth.command()
def public_key() -> None:
    """Print the public half of the key that signs now."""
    typer.echo(_ring().signing.verifying.to_pem(), nl=False)


@auth.command("keys")
def list_keys() -> None:
    """List the ids of the keys that the providers of secrets have: the one that signs, and the retired ones."""
    ring = _ring()
    for kid in ring.kids:
        typer.echo(f"{kid}  {'signs' if kid == ring.signing.verifying.kid else 'retired'}")


def _ring() -> KeyRing:
    from api.desk_database import secret_providers
    from trading_core.auth.token_keys import load_token_keys

    async def load() -> KeyRing:
        async with secret_providers() as providers:
            return await load_token_keys(providers)

    return asyncio.run(load())

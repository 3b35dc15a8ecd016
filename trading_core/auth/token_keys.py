"""Where the keys of access tokens come from: two secrets, the private key that signs and the public keys that signed before it.

To change the key: add the public half of the old one to the retired ones, store the new one, start again. Tokens that the old key
signed stay good until they expire; then, or at once after a theft, the retired half is taken out.
"""

from __future__ import annotations

import re

from pydantic import SecretStr

from trading_core.auth.tokens import KeyRing, SigningKey, VerifyingKey
from trading_core.domain.errors import ConfigurationError
from trading_core.secrets.port import SecretChain

SIGNING_NAME = "token-signing-key"
RETIRED_NAME = "token-retired-keys"

_PUBLIC = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


async def load_token_keys(secrets: SecretChain) -> KeyRing:
    """The keys as the providers of secrets have them.

    Raises:
        ConfigurationError: there is no signing key, or one of them is no Ed25519 key in PEM.
        SecretUnavailable: a provider failed.
    """
    signing = SigningKey.from_pem(await secrets.require(SIGNING_NAME, next_step="Make one with `algotrendy auth new-key`"))
    kept = await secrets.get(RETIRED_NAME)
    return KeyRing(signing, () if kept is None else _retired(kept))


def _retired(kept: SecretStr) -> list[VerifyingKey]:
    """Public keys in PEM, one behind the other."""
    text = kept.get_secret_value()
    if _PUBLIC.sub(
        "", text
    ).strip():  # a private key belongs in no list of retired ones, and a broken one must not be passed over
        raise ConfigurationError(
            f"{RETIRED_NAME!r} holds something else than public keys in PEM",
            not_done="No token can be checked or made",
            next_step="Put in it what `algotrendy auth public-key` prints, and nothing else",
        )
    return [VerifyingKey.from_pem(pem) for pem in _PUBLIC.findall(text)]

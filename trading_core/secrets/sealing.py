"""Encrypting what is kept in the database: AES-256-GCM, with the place of each text bound to it.

NIST SP 800-38D. Nonces are 96 random bits, which is safe for 2**32 texts under one key (section 8.3). The additional data names
the row, so that a ciphertext moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from trading_core.domain.errors import ConfigurationError, SecretUnreadable
from trading_core.secrets.port import SecretChain

KEY_NAME = "credentials-key"
KEY_BYTES, NONCE_BYTES = 32, 12
_MAKE_ONE = "Make one with `openssl rand -base64 32`"


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted text: under which key, with which nonce."""

    key_id: str
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


class KeyRing:
    """Master keys: the first encrypts, all of them decrypt.

    A key's id is worked out from the key, so that a ciphertext cannot be labelled with the wrong one.

    Args:
        keys: of 32 bytes each.
        random_bytes: where nonces come from.
    """

    def __init__(self, *keys: bytes, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(f"a master key has {KEY_BYTES} bytes", not_done="Nothing was opened", next_step=_MAKE_ONE)
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._random_bytes = random_bytes
        self.current = _key_id(keys[0])

    @classmethod
    def parse(cls, text: SecretStr) -> KeyRing:
        """Keys in base64, separated by white space or commas; the first encrypts.

        Raises:
            ConfigurationError: one of them is no key. It says which, and nothing of it.
        """
        keys = []
        for number, part in enumerate(re.split(r"[\s,]+", text.get_secret_value().strip()), 1):
            try:
                key = base64.b64decode(part, altchars=b"-_" if re.search("[-_]", part) else None, validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if len(key) != KEY_BYTES:
                raise ConfigurationError(
                    f"key {number} of {KEY_NAME!r} is not {KEY_BYTES} bytes in base64",
                    not_done="Nothing was opened",
                    next_step=_MAKE_ONE,
                )
            keys.append(key)
        return cls(*keys)

    @classmethod
    async def load(cls, secrets: SecretChain) -> KeyRing:
        """The keys kept under `KEY_NAME`. Raises ConfigurationError when there are none, and what the providers raise."""
        return cls.parse(await secrets.require(KEY_NAME, next_step=f"{_MAKE_ONE} and store it under that name"))

    def seal(self, text: str, *place: str) -> Sealed:
        """Encrypt `text` under the current key, for this place only."""
        nonce = self._random_bytes(NONCE_BYTES)
        return Sealed(self.current, nonce, self._keys[self.current].encrypt(nonce, text.encode(), _bound(self.current, place)))

    def open(self, sealed: Sealed, *place: str) -> str:
        """The text that was sealed for this place.

        Raises:
            SecretUnreadable: naming the place: the key is not on the ring, or the row is not what was written.
        """
        named = " / ".join(repr(part) for part in place)
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SecretUnreadable(
                f"{named} is encrypted under the key {sealed.key_id!r}, which is not there",
                not_done="It was not opened",
                next_step=f"Put that key behind the current one in {KEY_NAME!r}, or store the credentials anew",
            )
        try:
            return key.decrypt(sealed.nonce, sealed.ciphertext, _bound(sealed.key_id, place)).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadable(
                f"{named} is not what was written: it was changed, or moved there from another row",
                not_done="It was not opened",
                next_step="Find out who wrote to the database, revoke the keys at the venue, and store new ones",
            ) from None

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"


def _key_id(key: bytes) -> str:
    return hmac.new(key, b"algotrendy key id", hashlib.sha256).hexdigest()[:16]


def _bound(key_id: str, place: tuple[str, ...]) -> bytes:
    return json.dumps(["algotrendy sealed 1", key_id, *place]).encode()

"""Passwords: the rules for a new one, and how they are kept.

New hashes are Argon2id (RFC 9106) at OWASP's parameters. bcrypt hashes of older systems still let their owners in, once: the
login that proves the password replaces the hash.
https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html, https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import argon2
import bcrypt
import zxcvbn
from argon2.exceptions import Argon2Error, InvalidHashError
from pydantic import SecretStr

from trading_core.auth.opaque import TokenBytes, random_text
from trading_core.domain.errors import InvalidInput

Result = TypeVar("Result")

MINIMUM_LENGTH = 12  # characters; NIST asks for 8 at least and 15 where a password stands alone
MAXIMUM_LENGTH = 256  # characters, so that nobody makes the desk normalise and hash a megabyte
FEWEST_GUESSES = 10**8  # zxcvbn's third of four steps: beyond anything that a locked-out login can try

_BCRYPT_PREFIXES = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72  # bcrypt has never read further
_ESTIMATED = 72  # characters the estimator takes: a longer password is at least as good as its beginning

# zxcvbn keeps the words of the present caller in a dictionary that all callers share.
_estimator = threading.Lock()


class WeakPassword(InvalidInput):
    """A new password that breaks a rule. The password is not in the message."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what, not_done="The password was not set", next_step=next_step)


def check_password(password: SecretStr, own_words: Iterable[str] = ()) -> None:
    """The rules for a new password: long enough, and not one of those that are tried first. No classes of characters.

    Args:
        own_words: what an attacker knows of this user: the name, the e-mail address.

    Raises:
        WeakPassword: saying which rule it breaks.
    """
    text = password.get_secret_value()
    if len(text) > MAXIMUM_LENGTH:  # before anything that takes time with the length
        raise WeakPassword(f"the password is longer than {MAXIMUM_LENGTH} characters", "Choose a shorter one")
    text = _normalised(text)
    if len(text) < MINIMUM_LENGTH:
        raise WeakPassword(
            f"the password is shorter than {MINIMUM_LENGTH} characters", "Choose a longer one: several words do well"
        )
    words = {part for word in own_words for part in (word, *word.replace("@", " ").replace(".", " ").split())}
    with _estimator:
        guesses = zxcvbn.zxcvbn(text[:_ESTIMATED], user_inputs=sorted(words))["guesses"]
    if guesses < FEWEST_GUESSES:
        raise WeakPassword(
            "the password is on the lists of passwords that are tried first, or is one of them, or your own name, in disguise",
            "Choose several words that do not belong together",
        )


@dataclass(frozen=True, slots=True)
class HashCost:
    """What one Argon2id hash costs. The defaults are OWASP's: 19 MiB, two passes, one lane; about 20 ms."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    lanes: int = 1
    at_once: int = 2  # hashes worked on at the same time; each takes `memory_kib`


class PasswordHasher:
    """Makes and verifies hashes in threads of its own.

    The threads are the limit: a semaphore would let the next one in when a caller gives up, though the hash he asked for is
    still being worked on.
    """

    def __init__(self, cost: HashCost | None = None, token_bytes: TokenBytes = secrets.token_bytes) -> None:
        cost = cost or HashCost()
        self._argon2 = argon2.PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes)
        self._token_bytes = token_bytes
        self._threads = ThreadPoolExecutor(cost.at_once, thread_name_prefix="password")
        self._nobodys = self._hash(random_text(token_bytes))

    async def check(self, password: SecretStr, own_words: Iterable[str] = ()) -> None:
        """`check_password`, in a thread: the estimate takes milliseconds.

        Raises:
            WeakPassword: saying which rule it breaks.
        """
        await self._run(lambda: check_password(password, own_words))

    async def hash(self, password: SecretStr) -> str:
        """The hash of a password that kept the rules, in the PHC string format."""
        return await self._run(lambda: self._hash(_normalised(password.get_secret_value())))

    async def verify(self, known: str | None, password: SecretStr) -> bool:
        """Whether `password` belongs to the hash. Without a hash the answer is no, and takes as long."""
        return await self._run(lambda: self._verify(known, password.get_secret_value()))

    def needs_rehash(self, known: str) -> bool:
        """Whether the hash was made by another algorithm, or at another cost than today's."""
        try:
            return self._argon2.check_needs_rehash(known)
        except InvalidHashError:
            return True

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _hash(self, text: str) -> str:
        return self._argon2.hash(_bytes(text), salt=self._token_bytes(16))

    def _verify(self, known: str | None, text: str) -> bool:
        if len(text) > MAXIMUM_LENGTH:
            known, text = None, ""
        if known is not None and known.startswith(_BCRYPT_PREFIXES):
            return _verify_bcrypt(known, text)
        try:
            self._argon2.verify(known or self._nobodys, _bytes(_normalised(text)))
        except (Argon2Error, InvalidHashError):  # a damaged hash lets nobody in
            return False
        return known is not None


def _verify_bcrypt(known: str, text: str) -> bool:
    """As the systems that made such hashes did: the bytes as they came, up to what bcrypt reads."""
    try:
        return bcrypt.checkpw(_bytes(text)[:_BCRYPT_BYTES], known.encode())
    except ValueError:  # a damaged hash, or a NUL in the password
        return False


def _normalised(text: str) -> str:
    """The one form of characters that can be typed in several ways."""
    return unicodedata.normalize("NFKC", text)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")

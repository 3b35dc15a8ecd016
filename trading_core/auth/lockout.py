"""Proving a password, and what follows from failing to.

After a few failures in a row the subject is locked, for twice as long after each further one. While it is locked nothing is
counted and nobody gets in, and the answer is the same as to a wrong password. Nothing in the answer, in what is written or in
the time it takes depends on whether the user exists: names that nobody has are counted as well, in a fixed number of buckets, so
that inventing names does not fill the database.
https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html, https://pages.nist.gov/800-63-4/sp800-63b.html
(rate limiting: at most 100 failures in a row)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from trading_core.auth.identity import bad_password
from trading_core.auth.opaque import digest
from trading_core.auth.passwords import PasswordHasher
from trading_core.domain.clock import Clock
from trading_core.persistence.identity_records import Credentials, LoginFailures, User
from trading_core.persistence.repositories.users import folded
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

LONGEST_NAME = 254  # characters of a name that is looked up: no e-mail address is longer (RFC 5321, section 4.5.3.1.3)
_BUCKETS = 4  # hexadecimal digits: 65,536 rows at most


@dataclass(frozen=True, slots=True)
class LockoutSettings:
    """When a subject is locked, and for how long.

    Attributes:
        failures: in a row that are free.
        first: how long the next one locks; each further one doubles it, up to `longest`.
        forget_after: without a failure for so long, the count starts again.
    """

    failures: int = 5
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)
    forget_after: timedelta = timedelta(days=7)

    def after_one_more(self, known: LoginFailures, now: datetime) -> LoginFailures:
        """The count after another failure, and the lock that follows from it."""
        forgotten = now - known.last_failed_at >= self.forget_after
        failures = 1 if forgotten else known.failures + 1
        if failures < self.failures:
            return LoginFailures(known.subject, failures, now)
        doublings = min(failures - self.failures, 32)  # far past `longest`, and no overflow
        return LoginFailures(known.subject, failures, now, now + min(self.first * 2**doublings, self.longest))


class PasswordGuard:
    """Lets a transaction happen only for whoever knows the password."""

    def __init__(self, database: Database, clock: Clock, hasher: PasswordHasher, settings: LockoutSettings) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher
        self._settings = settings

    @asynccontextmanager
    async def proven(self, name: str, password: SecretStr) -> AsyncIterator[tuple[UnitOfWork, User]]:
        """A transaction of the user who proved the password. A hash of an older kind is replaced in it.

        Raises:
            NotAuthenticated: no such user, a wrong password, locked or deactivated: always in the same words.
        """
        known, subject, is_locked = await self._known(name)
        matches = await self._hasher.verify(None if known is None else known.password_hash, password)
        better = None
        if known is not None and matches and not is_locked and self._hasher.needs_rehash(known.password_hash):
            better = await self._hasher.hash(password)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            # Counted under a lock: of many guesses made at once no more are answered than of guesses made in turn.
            failures = await uow.login_failures.held(subject, now)
            if not failures.is_locked(now):
                user = await self._admitted(uow, known, password) if known is not None and matches else None
                if user is not None:
                    await uow.login_failures.clear(subject)
                    if better is not None:
                        await uow.users.set_password(user.id, better)
                    yield uow, user
                    return
                await uow.login_failures.put(self._settings.after_one_more(failures, now))
        raise bad_password()

    async def _known(self, name: str) -> tuple[Credentials | None, str, bool]:
        async with self._database.reading() as uow:
            known = await uow.users.named(name) if len(name) <= LONGEST_NAME else None
            subject = f"name:{digest(folded(name[:LONGEST_NAME]))[:_BUCKETS]}" if known is None else subject_of(known.user.id)
            failures = await uow.login_failures.get(subject)
        return known, subject, failures is not None and failures.is_locked(self._clock.now())

    async def _admitted(self, uow: UnitOfWork, proven: Credentials, password: SecretStr) -> User | None:
        """The user as of this transaction; None when meanwhile deactivated, or given another password."""
        now_known = await uow.users.locked(proven.user.id)
        if not now_known.user.is_active:
            return None
        if now_known.password_hash == proven.password_hash:
            return now_known.user
        return now_known.user if await self._hasher.verify(now_known.password_hash, password) else None


def subject_of(user_id: str) -> str:
    """Under which subject a user's failures are counted."""
    return f"user:{user_id}"

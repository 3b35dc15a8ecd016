"""Venue keys: kept encrypted in the database, and every change to them on the audit trail."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import SecretStr

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, SecretUnreadable
from trading_core.persistence.repositories.credentials import CredentialRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.secrets.sealing import KeyRing, Sealed

LONGEST_NAME = 100  # characters of a venue or a label
LONGEST_KEY = 16_384  # characters of one key; some venues give RSA keys in PEM


@dataclass(frozen=True, slots=True)
class VenueKeys:
    """What a venue asks of an account. `passphrase` is OKX's, KuCoin's and Bitget's third key."""

    api_key: SecretStr
    secret: SecretStr
    passphrase: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """What may be shown: which keys there are, under which master key, since when, and when they were last encrypted."""

    venue: str
    label: str
    key_id: str
    created_at: datetime
    sealed_at: datetime


class VenueCredentials:
    """The keys of venues' accounts, by venue and a label such as the account's name."""

    def __init__(self, database: Database, keys: KeyRing, clock: Clock) -> None:
        self._database, self._keys, self._clock = database, keys, clock

    async def put(self, who: Principal, venue: str, label: str, keys: VenueKeys, *, correlation_id: str = "") -> None:
        """Store keys, in place of those kept for the same venue and label.

        Raises:
            NotPermitted, InvalidInput: nothing was stored.
        """
        who.require(Action.MANAGE_CREDENTIALS)
        text = _text(keys)
        now = self._clock.now()
        sealed = self._keys.seal(text, _name(venue, "venue"), _name(label, "label"))
        async with self._database.transaction() as uow:
            before = await uow.credentials.get(venue, label)
            record = CredentialRecord(venue, label, sealed.key_id, sealed.nonce, sealed.ciphertext, now, now)
            await uow.credentials.put(record)
            await self._tell(uow, who, AuditAction.CREDENTIAL_STORED, (venue, label), before, record, correlation_id)

    async def get(self, who: Principal, venue: str, label: str) -> VenueKeys | None:
        """The keys themselves, for the broker that signs with them; None when none are stored.

        Raises:
            NotPermitted: `who` may not use keys; managing them is another right.
            SecretUnreadable: naming venue and label.
        """
        who.require(Action.USE_CREDENTIALS)
        async with self._database.reading() as uow:
            record = await uow.credentials.get(venue, label)
        return None if record is None else self._opened(record)

    async def list(self, who: Principal) -> tuple[StoredCredential, ...]:
        """Which keys are stored, and nothing of them."""
        who.require(Action.MANAGE_CREDENTIALS)
        async with self._database.reading() as uow:
            records = await uow.credentials.all()
        return tuple(StoredCredential(one.venue, one.label, one.key_id, one.created_at, one.sealed_at) for one in records)

    async def delete(self, who: Principal, venue: str, label: str, *, correlation_id: str = "") -> bool:
        """Forget keys; whether there were any. They remain valid at the venue, and in backups."""
        who.require(Action.MANAGE_CREDENTIALS)
        async with self._database.transaction() as uow:
            before = await uow.credentials.get(venue, label)
            if before is None or not await uow.credentials.delete(venue, label):
                return False
            await self._tell(uow, who, AuditAction.CREDENTIAL_DELETED, (venue, label), before, None, correlation_id)
        return True

    async def rotate(self, who: Principal, *, correlation_id: str = "") -> int:
        """Encrypt everything that is under an older master key with the current one; how many that were. All or none.

        Raises:
            SecretUnreadable: one row does not open, and it is named.
        """
        who.require(Action.MANAGE_CREDENTIALS)
        now = self._clock.now()
        async with self._database.transaction() as uow:
            old = [record for record in await uow.credentials.all(locked=True) if record.key_id != self._keys.current]
            for before in old:
                sealed = self._keys.seal(_text(self._opened(before)), before.venue, before.label)
                after = replace(before, key_id=sealed.key_id, nonce=sealed.nonce, ciphertext=sealed.ciphertext, sealed_at=now)
                await uow.credentials.put(after)
                await self._tell(
                    uow, who, AuditAction.CREDENTIAL_ROTATED, (before.venue, before.label), before, after, correlation_id
                )
        return len(old)

    def _opened(self, record: CredentialRecord) -> VenueKeys:
        text = self._keys.open(Sealed(record.key_id, record.nonce, record.ciphertext), record.venue, record.label)
        kept = json.loads(text)
        if not isinstance(kept, dict) or not {"api_key", "secret"} <= kept.keys():
            raise SecretUnreadable(
                f"{record.venue!r} / {record.label!r} holds no venue keys of this version",
                not_done="They were not used",
                next_step="Use the version that stored them, or store them anew",
            )
        passphrase = kept.get("passphrase")
        return VenueKeys(SecretStr(kept["api_key"]), SecretStr(kept["secret"]), SecretStr(passphrase) if passphrase else None)

    async def _tell(
        self,
        uow: UnitOfWork,
        who: Principal,
        action: AuditAction,
        place: tuple[str, str],
        before: CredentialRecord | None,
        after: CredentialRecord | None,
        correlation_id: str,
    ) -> None:
        await uow.audit.append(
            AuditEntry(
                at=self._clock.now(),
                actor=who.name,
                action=action,
                subject_kind=SubjectKind.CREDENTIAL,
                subject_id="/".join(place),
                before=_shown(before),
                after=_shown(after),
                correlation_id=correlation_id,
            )
        )


def _shown(record: CredentialRecord | None) -> dict[str, object] | None:
    return None if record is None else {"key_id": record.key_id, "created_at": record.created_at}


def _text(keys: VenueKeys) -> str:
    found = {"api_key": keys.api_key, "secret": keys.secret, "passphrase": keys.passphrase}
    plain = {name: value.get_secret_value().strip() for name, value in found.items() if value is not None}
    for name, value in plain.items():
        if not value or len(value) > LONGEST_KEY:
            raise InvalidInput(f"the {name} is empty or longer than {LONGEST_KEY} characters", not_done="Nothing was stored")
    return json.dumps(plain)


def _name(text: str, what: str) -> str:
    if not text or len(text) > LONGEST_NAME or not text.isprintable() or text != text.strip():
        raise InvalidInput(
            f"{text[:LONGEST_NAME]!r} is no {what}",
            not_done="Nothing was stored",
            next_step=f"Give 1 to {LONGEST_NAME} printable characters without spaces around them",
        )
    return text

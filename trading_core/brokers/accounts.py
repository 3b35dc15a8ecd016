"""Accounts at venues that the desk may open: added, switched to real money and forgotten by people, on the audit trail."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, recorded
from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.venues.profiles import profile_of
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.persistence.repositories.broker_accounts import BrokerAccount
from trading_core.persistence.session import Database

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LOCAL = ("127.0.0.1", "localhost", "::1")
RESERVED = "paper"


class BrokerAccounts:
    """The table of accounts, for whoever may manage brokers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, who: Principal, account_id: str, venue: str, *, url: str | None = None) -> BrokerAccount:
        """Add an account, at first without real money: in the venue's sandbox, or at a test venue.

        Args:
            url: of another host that speaks the venue's API, https unless it is this machine.

        Raises:
            NotPermitted, InvalidInput, ConfigurationError: nothing was added.
        """
        who.require(Action.MANAGE_BROKERS)
        profile_of(venue)
        if not _NAME.fullmatch(account_id) or account_id.startswith(RESERVED):
            raise InvalidInput(
                f"{account_id[:60]!r} is no name for an account",
                not_done="It was not added",
                next_step=f"Use up to 40 of a-z, 0-9, - and _, not beginning with {RESERVED!r}, which is the paper exchange's",
            )
        account = BrokerAccount(account_id, venue, False, _checked(url), self._clock.now(), who.name)
        async with self._database.transaction() as uow:
            if await uow.portfolios.opened_at(account_id) is not None and await uow.broker_accounts.get(account_id) is None:
                raise InvalidInput(
                    f"account {account_id!r} was removed, and has a record",
                    not_done="It was not added: what it traded would go on as this one's",
                    next_step="Choose another name; what is held at the venue is then taken over",
                )
            if not await uow.broker_accounts.add(account):
                raise InvalidInput(
                    f"there is an account {account_id!r} already", not_done="It was not added", next_step="Choose another name"
                )
            await uow.audit.append(self._entry(who, AuditAction.BROKER_ADDED, account_id, None, _told(account)))
        return account

    async def set_production(self, who: Principal, account_id: str, *, production: bool, reason: str) -> BrokerAccount:
        """Switch an account to real money, or away from it. What is open goes on as it was opened.

        Raises:
            NotPermitted: `who` may not manage brokers.
            ConfigurationError: there is no such account, or it has traded already.
            InvalidInput: no reason was given.
        """
        who.require(Action.MANAGE_BROKERS)
        if not reason.strip():
            raise InvalidInput("no reason was given", not_done="Nothing was switched", next_step="Say why: it is kept")
        async with self._database.transaction() as uow:
            before = await uow.broker_accounts.get(account_id)
            if before is None:
                raise unknown_account(account_id)
            if await uow.portfolios.opened_at(account_id) is not None and before.production != production:
                # A sandbox's fills are no part of a real account's record, nor the other way round.
                raise ConfigurationError(
                    f"account {account_id!r} has traded {'with' if before.production else 'without'} real money already",
                    not_done="It was not switched",
                    next_step="Add the venue's account again under another name, and switch that",
                )
            await uow.broker_accounts.set_production(account_id, production)
            action = AuditAction.BROKER_PRODUCTION if production else AuditAction.BROKER_SANDBOX
            told = {"production": production, "venue": before.venue, "reason": reason}
            await uow.audit.append(self._entry(who, action, account_id, _told(before), told))
        return replace(before, production=production)

    async def remove(self, who: Principal, account_id: str) -> bool:
        """Forget an account; whether there was one. What it traded stays on record, and its keys stay stored."""
        who.require(Action.MANAGE_BROKERS)
        async with self._database.transaction() as uow:
            before = await uow.broker_accounts.get(account_id)
            if before is None or not await uow.broker_accounts.remove(account_id):
                return False
            await uow.audit.append(self._entry(who, AuditAction.BROKER_REMOVED, account_id, _told(before), None))
        return True

    async def get(self, account_id: str) -> BrokerAccount:
        """One account.

        Raises:
            ConfigurationError: there is none of that name.
        """
        async with self._database.reading() as uow:
            found = await uow.broker_accounts.get(account_id)
        if found is None:
            raise unknown_account(account_id)
        return found

    async def all(self) -> tuple[BrokerAccount, ...]:
        async with self._database.reading() as uow:
            return await uow.broker_accounts.all()

    def _entry(
        self,
        who: Principal,
        action: AuditAction,
        account_id: str,
        before: dict[str, object] | None,
        after: dict[str, object] | None,
    ) -> AuditEntry:
        return AuditEntry(self._clock.now(), who.name, action, SubjectKind.ACCOUNT, account_id, before, after)


def unknown_account(account_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no account {account_id!r} at a venue",
        not_done="Nothing was opened",
        next_step="`algotrendy brokers list` shows them, `brokers add` adds one",
    )


def _told(account: BrokerAccount) -> dict[str, object]:
    return dict(recorded(account, "venue", "production", "url"))


def _checked(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_address = parts.port != 0
    except ValueError:  # brackets around no address, or a port that is no number or too high
        is_address = False
    if not is_address or parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise InvalidInput(f"{url!r} is no address of a venue", not_done="Nothing was added", next_step="Write https://HOST")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise InvalidInput(
            f"{url!r} would send orders and balances in clear", not_done="Nothing was added", next_step="Use https://"
        )
    return url.rstrip("/")

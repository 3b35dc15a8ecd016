"""The right to write to an account, and the number that tells whether anybody has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.domain.errors import LedgerError
from trading_core.persistence.tables import accounts

_TERMS = (accounts.c.version, accounts.c.currency, accounts.c.deposit)
_MINE = accounts.c.id == bindparam("account_id")
_TAKE = update(accounts).where(_MINE).values(version=accounts.c.version + 1).returning(*_TERMS)
_VERSION = select(accounts.c.version).where(_MINE)


@dataclass(frozen=True, slots=True)
class Claim:
    """An account that a transaction writes to.

    Attributes:
        version: of the account after this transaction.
        first: whether nobody claimed the account before in the same commit. Whoever knows it at `version - 1` then knows what
            the transaction starts from.
    """

    version: int
    currency: str
    deposit: object
    first: bool = True


class Claims:
    """Claims of one transaction. A claim locks the account's row until the transaction ends (on SQLite the whole file is), so
    that two cannot decide on the same money.

    Args:
        memo: of transactions that commit together: the first of them claims for all. What they remember of the account stands
            there under its id, and whoever claims it takes that out: he alone knows what it will be.
    """

    def __init__(self, connection: AsyncConnection, memo: dict[str, object] | None = None) -> None:
        self._connection = connection
        self._memo = {} if memo is None else memo
        self._taken: dict[str, Claim] = {}

    async def take(self, account_id: str) -> Claim:
        """Claim an account; again in the same transaction costs nothing.

        Raises:
            LedgerError: there is no such account.
        """
        claim = self._taken.get(account_id)
        if claim is None:
            claim = self._taken[account_id] = self._shared(account_id) or await self._take(account_id)
        return claim

    def _shared(self, account_id: str) -> Claim | None:
        claim = self._memo.get(f"claim {account_id}")
        if not isinstance(claim, Claim):
            return None
        self._memo.pop(account_id, None)
        return replace(claim, first=False)

    async def _take(self, account_id: str) -> Claim:
        row = (await self._connection.execute(_TAKE, {"account_id": account_id})).first()
        if row is None:
            raise unknown_account(account_id)
        claim = self._memo[f"claim {account_id}"] = Claim(*row)
        return claim

    async def version(self, account_id: str) -> int:
        """How often the account has been written to, for whoever only reads.

        Raises:
            LedgerError: there is no such account.
        """
        version: int | None = (await self._connection.execute(_VERSION, {"account_id": account_id})).scalar()
        if version is None:
            raise unknown_account(account_id)
        return version


def unknown_account(account_id: str) -> LedgerError:
    return LedgerError(
        f"account {account_id!r} is not on record", not_done="Nothing was written", next_step="Open the account first"
    )

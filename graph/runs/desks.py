"""The systems that are open in this process, by account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from graph.system import TradingSystem


class Desks:
    """Accounts that this process runs. A process that only answers for others has none."""

    def __init__(self) -> None:
        self._systems: dict[str, TradingSystem] = {}

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self._systems)

    def get(self, account_id: str) -> TradingSystem | None:
        """The account's system; None where another process has it, or none."""
        return self._systems.get(account_id)

    def add(self, system: TradingSystem) -> None:
        """Put a system to work.

        Raises:
            ConfigurationError: its account has one already.
        """
        account_id = system.desk.account_id
        if account_id in self._systems:
            raise ConfigurationError(f"account {account_id!r} is open twice in one process", not_done="The second was not used")
        self._systems[account_id] = system

    def remove(self, account_id: str) -> TradingSystem | None:
        """Give an account up; whoever works on it is told by not finding it here."""
        return self._systems.pop(account_id, None)

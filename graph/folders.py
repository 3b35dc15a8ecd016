"""Where sessions keep their files, and where their ledgers are."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from graph.config import SessionConfig
from trading_core.persistence.engines import parse_location

ACCOUNT = "paper"
PRACTICE = "practice"
TIMESERIES = "timeseries.duckdb"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a session keeps what is its own. A simulation is a thing of its own: it can be repeated and thrown away.

    Attributes:
        session: the paper exchange's side, checkpoints, and the ledger when there is no `database`.
        database: a path or URL of one ledger for all sessions, which also keeps the models' answers; None for a file each.
        venue_account: the session's account at a venue; None on the paper exchange.
        is_practice: the session is on a practice market. Its account is another than that of the desk's paper trading: prices
            of two markets must not meet in one.
    """

    home: Path
    session: Path
    database: str | None = None
    venue_account: str | None = None
    is_practice: bool = False

    @classmethod
    def of(cls, home: Path, config: SessionConfig, database: str | None = None) -> Folders:
        """The session's own.

        Raises:
            ConfigurationError: the database cannot be meant.
        """
        account = config.account.id if config.account else None
        folders = cls(home, _root(home, database), database)
        return folders.of_session(
            config.session_id, simulated=config.simulated, venue_account=account, practice=config.market == "practice"
        )

    @classmethod
    def all_in(cls, home: Path, database: str | None = None) -> list[Folders]:
        """Every session folder that has a ledger, the one written to last first. With a database, its one ledger."""
        if database is not None:
            return [cls(home, _root(home, database), database)]
        sessions = [home / "desk", *sorted((home / "simulations").glob("*"))]
        found = [folders for session in sessions if (folders := cls(home, session))._file.is_file()]
        return sorted(found, key=lambda folders: -folders.written_at)

    def of_session(
        self, session_id: str, *, simulated: bool, venue_account: str | None = None, practice: bool = False
    ) -> Folders:
        """From where all sessions are kept to where this one is."""
        session = self.session / "simulations" / session_id if simulated else self.session / "desk"
        return replace(self, session=session, venue_account=venue_account, is_practice=practice)

    @property
    def is_simulation(self) -> bool:
        return self.session.parent.name == "simulations"

    @property
    def account(self) -> str:
        """The id of the session's account. Live sessions on paper trade on one; a simulation needs its own where ledgers are
        shared."""
        if self.venue_account is not None:
            return self.venue_account
        if self.is_practice:
            return PRACTICE
        return f"{ACCOUNT}-{self.session.name}" if self.database is not None and self.is_simulation else ACCOUNT

    @property
    def written_at(self) -> float:
        """When the ledger's file was last written to, in seconds of the file system; its write-ahead log counts."""
        log = self._file.with_name(self._file.name + "-wal")
        return max(path.stat().st_mtime for path in (self._file, log) if path.exists())

    @property
    def ledger(self) -> Path | str:
        return self._file if self.database is None else self.database

    @property
    def checkpoints(self) -> Path:
        return self.session / (f"{PRACTICE}-checkpoints.db" if self.is_practice else "checkpoints.db")

    @property
    def paper(self) -> Path:
        return self.session / f"{PRACTICE if self.is_practice else ACCOUNT}.db"

    @property
    def readings(self) -> Path:
        """Bars and readings of every session of this home."""
        return self.home / TIMESERIES

    @property
    def answers(self) -> Path | str:
        return self.home / "answers.db" if self.database is None else self.database

    @property
    def _file(self) -> Path:
        return self.session / "ledger.db"


def desk_ledger(home: Path) -> Path | None:
    """The live desk's ledger; None when there is none yet. Users, venue keys and accounts are in it before its first session."""
    path = home / "desk" / "ledger.db"
    return path if path.is_file() else None


def _root(home: Path, database: str | None) -> Path:
    """What belongs to one ledger must not meet another: each shared database has a folder, named without user and password."""
    if database is None:
        return home
    url = parse_location(database)
    name = str(url.database)
    where = [url.get_backend_name(), url.host or "", str(url.port or ""), name]
    if url.get_backend_name() == "sqlite":
        name, where = Path(name).stem, [str(Path(name).resolve())]
    token = hashlib.sha256("\n".join(where).encode()).hexdigest()[:8]
    return home / "databases" / f"{re.sub(r'[^A-Za-z0-9_-]', '-', name)}-{token}"

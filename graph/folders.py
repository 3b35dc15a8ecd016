"""Where sessions keep their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from graph.config import SessionConfig


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a session keeps its files. A simulation has a ledger of its own: it can be repeated and thrown away."""

    home: Path
    session: Path

    @classmethod
    def of(cls, home: Path, config: SessionConfig) -> Folders:
        return cls(home, home / "simulations" / config.session_id if config.simulated else home / "desk")

    @classmethod
    def all_in(cls, home: Path) -> list[Folders]:
        """Every session folder that has a ledger, the one written to last first."""
        sessions = [home / "desk", *sorted((home / "simulations").glob("*"))]
        found = [folders for session in sessions if (folders := cls(home, session)).ledger.is_file()]
        return sorted(found, key=lambda folders: -folders.written_at)

    @property
    def written_at(self) -> float:
        """When the ledger was last written to, in seconds of the file system; its write-ahead log counts."""
        log = self.ledger.with_name(self.ledger.name + "-wal")
        return max(path.stat().st_mtime for path in (self.ledger, log) if path.exists())

    @property
    def ledger(self) -> Path:
        return self.session / "ledger.db"

    @property
    def checkpoints(self) -> Path:
        return self.session / "checkpoints.db"

    @property
    def paper(self) -> Path:
        return self.session / "paper.db"

    @property
    def answers(self) -> Path:
        return self.home / "answers.db"

"""`algotrendy serve` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHIN = 120.0  # seconds; the machine may be slow and busy
_URL, LOGIN = re.compile(r"(http://\S+?)/api/v1"), re.compile(r"user (\S+), password (\S+)")


@dataclass
class Served:
    """A serving process, and what it has printed so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN)
        self.reader.join(WITHIN)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            if (found := pattern.search(self.text)) is not None:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern.pattern!r} was not printed (status {self.process.poll()}):\n{self.text}")

    def url(self) -> str:
        found = self.until(_URL)[1]
        self.until(re.compile("Ctrl-C"))  # the last line of what it says at first
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(WITHIN)
        self.reader.join(WITHIN)
        return status


def start(home: Path, *arguments: str, **variables: str) -> Served:
    """One on a free port, as a user would start it.

    Args:
        variables: of its environment.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "api.cli", "--home", str(home), "serve", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200", **variables},
    )
    return Served(process)

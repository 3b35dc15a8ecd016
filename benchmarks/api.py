"""What the doors cost: reads by many users at once, followers by the thousand, and the time to the first word of an answer.

The servers are `algotrendy serve` as anybody starts it, on loopback over a ledger that a session has written; the load comes from
processes of its own. README.md explains the rows. The exit status is 1 when a target is missed or anything was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import statistics
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from api.door import bind
from benchmarks.api_chat import first_tokens
from benchmarks.api_world import World, build

READS_PER_CORE, READS_P99, FAN_OUT_P99, FIRST_TOKEN = 1_500, 1_000.0, 500.0, 150.0  # a second; ms
RATE = 10  # events a second of a follower
_HERE = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_NO_LIMITS = {  # the limits are counted, and let everybody through
    f"ALGOTRENDY_API_{name}": "1000000000" for name in ("PER_IP", "READS_PER_USER", "FOLLOWERS", "FOLLOWERS_PER_USER")
}


@dataclass(slots=True)
class Server:
    """A process that serves."""

    process: asyncio.subprocess.Process
    port: int

    def usage(self) -> tuple[float, float]:
        """Seconds of processor it has used, and its resident memory in MB; zeros where the system does not tell."""
        with suppress(OSError):
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            return (int(stat[11]) + int(stat[12])) / _TICKS, int(stat[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        return 0.0, 0.0


@dataclass(slots=True)
class Report:
    """What was found. `missed` are targets and losses."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def row(self, section: str, **values: Any) -> None:
        self.rows.append({"section": section, **values})
        shown = [f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()]
        print(f"{section:<8} " + "   ".join(shown), flush=True)

    def judge(self, what: str, *, met: bool) -> None:
        if not met:
            self.missed.append(what)


@asynccontextmanager
async def serving(home: Path, database: str, *more: str, environment: dict[str, str] | None = None) -> AsyncIterator[Server]:
    """`algotrendy serve` until the block ends."""
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    command = ["-m", "api.cli", "--home", str(home), "serve", "--port", str(port), "--database", database, "--quiet", *more]
    given = {**os.environ, **_NO_LIMITS, **(environment or {})}
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=_HERE, env=given)
    try:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(_answers, port):
                if process.returncode is not None:
                    raise RuntimeError("the server ended by itself")
                await asyncio.sleep(0.1)
        yield Server(process, port)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 40)
            except TimeoutError:
                process.kill()


def _answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


@asynccontextmanager
async def helper(script: str, work: str, job: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours that was given its job."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, str(_HERE / "benchmarks" / script), work]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=_HERE, limit=2**20)
    try:
        await say(process, job)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def say(process: asyncio.subprocess.Process, what: object) -> None:
    assert process.stdin is not None  # a pipe
    process.stdin.write(json.dumps(what).encode() + b"\n")
    await process.stdin.drain()


async def hear(process: asyncio.subprocess.Process) -> Any:
    """The next line that a process says: a word or JSON."""
    assert process.stdout is not None  # a pipe
    line = (await process.stdout.readline()).decode().strip()
    return json.loads(line) if line.startswith("{") else line


def paths_of(world: World) -> list[str]:
    account = f"/api/v1/accounts/{world.account}"
    return [f"{account}/portfolio", f"{account}/orders", "/api/v1/runs", f"{account}/risk"]


@dataclass(slots=True)
class Load:
    """What load processes found together. `cpu` is of the servers, in cores."""

    results: list[dict[str, Any]]
    cpu: float

    def sum(self, name: str) -> float:
        return float(sum(one[name] for one in self.results))

    def worst(self, name: str) -> float:
        return float(max(one[name] for one in self.results))


async def load(servers: Sequence[Server], jobs: Sequence[dict[str, Any]]) -> Load:
    """Send everybody in, and count while all of them are there."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(helper("api_load.py", "reads", job)) for job in jobs]
        await asyncio.gather(*map(hear, processes))  # everybody has come
        before, began = [server.usage()[0] for server in servers], time.monotonic()
        for process in processes:
            await say(process, "go")
        await asyncio.gather(*map(hear, processes))  # the time is over
        wall = time.monotonic() - began
        cpu = sum(server.usage()[0] - was for server, was in zip(servers, before, strict=True))
        return Load([await hear(process) for process in processes], cpu / wall)


async def reads(report: Report, world: World, servers: Sequence[Server], users: int, seconds: float, loads: int = 1) -> None:
    """So many users, each with a login of its own, reading the mix."""
    share = users // loads
    jobs = [
        {
            "ports": [server.port for server in servers],
            "paths": paths_of(world),
            "tokens": world.tokens[number * share : (number + 1) * share],
            "users": share,
            "seconds": seconds,
        }
        for number in range(loads)
    ]
    found = await load(servers, jobs)
    a_second, p99, bad = found.sum("a_second"), found.worst("p99"), int(found.sum("bad"))
    per_core = a_second / found.cpu if found.cpu else a_second / len(servers)
    report.row(
        "reads", processes=len(servers), users=users, a_second=a_second, per_core=per_core, p50_ms=found.worst("p50"), p99_ms=p99,
        bad=bad, came_in_s=found.worst("came"), cores=found.cpu, load_cores=found.sum("own_cpu"),
        rss_mb=sum(server.usage()[1] for server in servers),
    )  # fmt: skip
    report.judge(f"{bad} bad answers: {found.results[0]['first_bad'][:300]}", met=not bad)
    report.judge(f"reads: {per_core:,.0f} a second and core, target {READS_PER_CORE:,}", met=per_core >= READS_PER_CORE)
    report.judge(f"reads of {users} users: p99 {p99:,.0f} ms, target {READS_P99:,.0f}", met=p99 < READS_P99)


async def bare(report: Report, seconds: float) -> None:
    """What the load generator and uvicorn come to without us."""
    async with helper("api_process.py", "bare", {}) as process:
        server = Server(process, (await hear(process))["port"])
        for users in (100, 1_000):
            job = {"ports": [server.port], "paths": ["/"], "tokens": ["none"], "users": users, "seconds": seconds}
            found = await load([server], [job])
            a_second = found.sum("a_second")
            report.row(
                "bare", users=users, a_second=a_second, per_core=a_second / found.cpu if found.cpu else 0.0,
                p99_ms=found.worst("p99"), cores=found.cpu, load_cores=found.sum("own_cpu"),
            )  # fmt: skip


async def alone(report: Report, world: World, server: Server, seconds: float) -> None:
    """One user, one path at a time: what a reading takes that nobody shares."""
    for path in paths_of(world):
        job = {"ports": [server.port], "paths": [path], "tokens": world.tokens, "users": 1, "seconds": seconds}
        (one,) = (await load([server], [job])).results
        report.row(
            "alone", path=path.rsplit("/", 1)[1], p50_ms=one["p50"], p99_ms=one["p99"],
            bytes=one["bytes"] // max(1, one["requests"]),
        )  # fmt: skip


async def fingerprint(report: Report, world: World, servers: Sequence[Server]) -> None:
    """The same bodies from every process and for every user, by SHA-256."""

    def read(server: Server, path: str, token: str) -> str:
        asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  # http, as written above
            return hashlib.sha256(answer.read()).hexdigest()

    found: list[str] = []
    for path in paths_of(world):
        bodies = {await asyncio.to_thread(read, server, path, token) for server in servers for token in world.tokens[:3]}
        report.judge(f"bodies of {path} differ", met=len(bodies) == 1)
        found += sorted(bodies)
    report.row("bodies", sha256=hashlib.sha256("".join(found).encode()).hexdigest())


async def fan_out(
    report: Report, world: World, server: Server, kind: str, followers: int, seconds: float, runs: int = 10
) -> None:
    """Followers of runs that a desk in another process tells of."""
    ids = [f"cycle-{token_hex(12)}" for _ in range(runs)]
    told = {"database": world.database, "account": world.account, "runs": ids, "rate": RATE, "seconds": seconds}
    heard = {
        "kind": kind,
        "port": server.port,
        "account": world.account,
        "runs": ids,
        "tokens": world.tokens,
        "followers": followers,
    }
    idle = server.usage()[1]
    async with helper("api_process.py", "tell", told) as desk:
        await hear(desk)
        async with helper("api_load.py", "follow", heard) as load:
            if (answer := await hear(load)) != "ready":
                raise RuntimeError(f"the followers did not come: {answer}")
            before, began = server.usage()[0], time.monotonic()
            await say(desk, "go")
            last = await hear(desk)
            cpu, memory = (server.usage()[0] - before) / (time.monotonic() - began), server.usage()[1]
            await say(load, last["told"])
            found = await hear(load)
    lost = found["missing"] + found["broken"] + found["closed"]
    report.row(
        kind, followers=followers, told_a_second=runs * RATE, delivered_a_second=found["timed"] / last["seconds"], lost=lost,
        p50_ms=found["p50"], p99_ms=found["p99"], worst_ms=found["worst"], cores=cpu, load_cores=found["own_cpu"],
        rss_mb=memory, kb_a_follower=1000 * (memory - idle) / followers,
    )  # fmt: skip
    report.judge(f"{kind}: {lost} events or connections lost {found['why'][:300]}", met=not lost)
    report.judge(f"{kind}: p99 {found['p99']:,.0f} ms, target {FAN_OUT_P99:,.0f}", met=found["p99"] < FAN_OUT_P99)


async def chat(report: Report, home: Path, questions: int) -> None:
    """A desk with a local model server that takes no time: all that passes until the first word is ours, and the server's."""
    found = await first_tokens(home, questions, serving)
    middle = statistics.median(found)
    report.row("chat", questions=len(found), first_token_p50_ms=middle, worst_ms=max(found))
    report.judge(f"chat: first token after {middle:,.0f} ms, target {FIRST_TOKEN:,.0f}", met=middle < FIRST_TOKEN)


async def measure(options: argparse.Namespace, home: Path) -> Report:
    report, seconds = Report(), 2.0 if options.quick else 12.0
    began = time.monotonic()
    world = await build(home, options.database, cycles=40 if options.quick else 240, logins=1_000)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. Ledger: {world.runs} runs, "
        f"{world.orders} orders, {world.fills} fills; {len(world.tokens)} logins; made in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    await bare(report, seconds / 2)
    async with serving(home, world.database, "--no-desk") as first:
        await alone(report, world, first, seconds / 6)
        for users in (100, 1_000):
            await reads(report, world, [first], users, seconds)
        async with serving(home, world.database, "--no-desk") as second:
            await fingerprint(report, world, [first, second])
            for users in (100, 1_000):
                await reads(report, world, [first, second], users, seconds, loads=1 if options.quick else 2)
    async with serving(home, world.database, "--no-desk") as door:
        for kind in ("streams", "sockets"):
            await fan_out(report, world, door, kind, options.followers, seconds)
    await chat(report, home / "chat", 5 if options.quick else 20)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of several")
    parser.add_argument("--followers", type=int, default=1_000, help="streams, then sockets, open at once")
    parser.add_argument("--database", help="a PostgreSQL URL of an empty database; a SQLite file otherwise")
    parser.add_argument("--json", action="store_true", help="print every row as JSON at the end")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="api-") as folder:
        report = asyncio.run(measure(options, Path(folder)))
    if options.json:
        print(json.dumps(report.rows))
    for what in report.missed:
        print(f"✗ {what}")
    if not report.missed:
        print("All targets met.")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())

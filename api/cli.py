"""The command line: `algotrendy COMMAND`. Exit status: 0 done, 1 failed, 2 refused, 3 waits for approval, 130 interrupted."""

from __future__ import annotations

import errno
import logging
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.commands.approvals import approve, reject
from api.commands.audit import audit
from api.commands.auth import auth
from api.commands.backtest_agents import backtest_agents
from api.commands.brokers import brokers
from api.commands.channels import channels
from api.commands.chat import chat
from api.commands.control import halt, kill, reconcile, reduce, resume_trading, state
from api.commands.credentials import credentials
from api.commands.data import data
from api.commands.database import db
from api.commands.doctor import doctor
from api.commands.evals import evaluate
from api.commands.graph import graph
from api.commands.limits import limits
from api.commands.mcp import mcp
from api.commands.options import FAILED, INTERRUPTED, REFUSED
from api.commands.pauses import pause, pauses, unpause
from api.commands.replay import replay
from api.commands.run import resume, run
from api.commands.runs import runs
from api.commands.schedule import schedule
from api.commands.serve import serve
from api.commands.show import show
from api.commands.strategies import strategies
from api.commands.users import users
from api.commands.verify import verify
from api.home import DEFAULT_HOME, HOME_VARIABLE
from trading_core.domain.errors import AlgoTrendyError, BrokerError, LedgerError, StoreUnavailable

_OTHER_HOME = ". Give --home a folder that you may write to, if this was it."
_OF_DISKS = {
    errno.ENOSPC: ". Free some space on that disk and give the command again; what was kept before is still there.",
    errno.EDQUOT: ". Free some of your quota and give the command again; what was kept before is still there.",
    errno.EACCES: _OTHER_HOME,
    errno.ENOTDIR: _OTHER_HOME,
    errno.EROFS: _OTHER_HOME,
}


class Commands(TyperGroup):
    """Every command under one roof: errors become one line and an exit status, and `--home` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _home_first(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AlgoTrendyError as error:
            failed = isinstance(error, LedgerError | StoreUnavailable | BrokerError)
            raise _told(str(error), FAILED if failed else REFUSED) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            where = f"{error.filename}: " if error.filename else ""
            next_step = _OF_DISKS.get(error.errno or 0, "")
            raise _told(f"{where}{error.strerror or error}{next_step}", REFUSED) from None
        except sqlite3.Error as error:
            raise _told(f"a database of the session cannot be used: {error}", FAILED) from None
        except KeyboardInterrupt:
            raise _told("interrupted", INTERRUPTED) from None


def _told(message: str, status: int) -> typer.Exit:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return typer.Exit(status)


def _home_first(args: list[str]) -> list[str]:
    """`run --home X` means what `--home X run` means."""
    front, rest = [], []
    waiting = iter(args)
    for word in waiting:
        if word == "--":
            rest += [word, *waiting]
        elif word == "--home":
            front += [word, *([value] if (value := next(waiting, None)) is not None else [])]
        elif word.startswith("--home="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run, runs, show, resume, approve, reject, halt, reduce, resume_trading, kill, state, reconcile, verify, limits, strategies,
    serve, chat, mcp, graph, doctor, replay, backtest_agents, pause, unpause, pauses,
):  # fmt: skip
    app.command()(command)
app.command("eval")(evaluate)
for group in (audit, auth, brokers, channels, credentials, data, db, schedule, users):
    app.add_typer(group)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"algotrendy {version('algotrendy')}")
        raise typer.Exit


@app.callback()
def everything(
    ctx: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar=HOME_VARIABLE, metavar="FOLDER", help="Where sessions and records are kept.")
    ] = DEFAULT_HOME,
    _show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """A multi-agent trading desk over a deterministic core: the model proposes, the core disposes."""
    ctx.obj = home


def main() -> None:
    """The entry point of `algotrendy`."""
    # A model's failure is told in a line of the session; its traceback would only break up the screen.
    logging.getLogger("algotrendy").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without Unicode still shows the rest
    app()


if __name__ == "__main__":
    main()

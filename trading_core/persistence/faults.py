"""What the drivers' errors mean for the desk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnection

from trading_core.domain.errors import AlgoTrendyError, InvalidInput, LedgerError, StoreUnavailable

_NOTHING = "Nothing of the transaction was written"
_UNKNOWN = "Whether the transaction was written is not known"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DATA_EXCEPTION = "22"
_NEXT_STEP = {
    "40001": "Try again",  # serialization_failure
    "40P01": "Try again",  # deadlock_detected
    "55P03": "Look for a transaction that is held open, and try again",  # lock_not_available
    "57014": "Look for what keeps the database busy, or raise statement_timeout",  # query_canceled
}


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the drivers' errors into the desk's, at the edge of the transaction, where everything is rolled back.

    Raises:
        LedgerError: what was written breaks a constraint.
        InvalidInput: a value that the database cannot keep.
        StoreUnavailable: everything else.
    """
    try:
        yield
    except IntegrityError as error:
        raise LedgerError(
            f"the record would contradict itself: {first_line(error)}",
            not_done=_NOTHING,
            next_step="Write what it refers to first, and nothing twice",
        ) from error
    except StatementError as error:
        if isinstance(error.orig, AlgoTrendyError):  # a column type refused a value
            raise error.orig from None
        if not isinstance(error, DBAPIError):
            raise
        if (_sqlstate(error) or "").startswith(_DATA_EXCEPTION):
            raise InvalidInput(f"the database cannot keep a value: {first_line(error)}", not_done=_NOTHING) from error
        raise _unavailable(error, _sqlstate(error), lost=_lost_in_commit(error)) from error
    except (sqlite3.Error, NoConnection) as error:  # while connecting
        raise _unavailable(error) from error


def lost_connection(context: ExceptionContext) -> StoreUnavailable | None:
    """A listener to `handle_error`: asyncpg lets an error of the socket, and its own timeout, through as they are."""
    if not isinstance(context.original_exception, OSError):
        return None
    return _unavailable(context.original_exception, lost=context.statement is None)


def first_line(error: BaseException) -> str:
    """What an error says, in one line and without the statement."""
    if isinstance(error, AlgoTrendyError):
        return error.what
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    return str(cause).partition("\n")[0] or type(cause).__name__


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _lost_in_commit(error: DBAPIError) -> bool:
    # Only a transaction's end has no statement. The server may have committed before the connection broke.
    return error.connection_invalidated and error.statement is None


def _unavailable(error: BaseException, sqlstate: str | None = None, *, lost: bool = False) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database failed: {first_line(error)}",
        not_done=_UNKNOWN if lost else _NOTHING,
        next_step=_NEXT_STEP.get(sqlstate or "", "Check that it runs, its disk space, and who else has it open"),
    )

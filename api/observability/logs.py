"""Log lines: JSON for machines, plain ones for people. Each names its request, run and trace, and none holds a secret.

    with logging_to(sys.stderr, as_json=True):
        ...

Fields of a JSON line: `at` (UTC), `level`, `logger`, `message`; where there is one, `request_id`, `run_id`, `trace_id`,
`span_id`, `error` (the type) with `traceback`; and whatever else the caller gave as `extra`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from opentelemetry import trace

from api.observability.secrets_filter import MASK, is_secret_name, masked
from graph.telemetry import current_run
from trading_core.audit.correlation import correlation

_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"})
_SHOWN = ("request_id", "run_id")  # to people; traces are for machines
_TOLD = ("algotrendy", "uvicorn.error")  # of other libraries, only warnings: some log URLs and bodies
_LONGEST = 4_000  # characters of one text, before it is cut


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": _at(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _text(record.getMessage()),
            **_context(),
        }
        for name, value in _extra(record).items():
            line.setdefault(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = _text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


class PlainLines(logging.Formatter):
    """One line for a person; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        told = {**_extra(record), **{name: value for name, value in _context().items() if name in _SHOWN}}
        rest = " ".join(f"{name}={value}" for name, value in told.items())
        line = f"{_at(record):%H:%M:%S} {record.levelname.lower():<8}{record.name}: {record.getMessage()}"
        line = _one_line(_text(f"{line}  {rest}" if rest else line))
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + _text(self.formatException(record.exc_info))
        return line


@contextmanager
def logging_to(stream: TextIO, *, as_json: bool, level: int = logging.INFO) -> Iterator[logging.Handler]:
    """Log to `stream` until the block ends: the desk's own lines from `level`, warnings of everything else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    loggers = {name: logging.getLogger(name) for name in _TOLD}
    before = {name: logger.level for name, logger in loggers.items()}
    root = logging.getLogger()
    root.addHandler(handler)
    for logger in loggers.values():
        logger.setLevel(level)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        for name, logger in loggers.items():
            logger.setLevel(before[name])


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _context() -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    run, opened = current_run.get(), correlation()
    found = {
        "request_id": "" if opened == run else opened,
        "run_id": run,
        "trace_id": trace.format_trace_id(span.trace_id) if span.is_valid else "",
        "span_id": trace.format_span_id(span.span_id) if span.is_valid else "",
    }
    return {name: _text(value) for name, value in found.items() if value}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: _value(name, value) for name, value in vars(record).items() if name not in _OWN}


def _value(name: str, value: object) -> object:
    if is_secret_name(name):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _value(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(name, each) for each in value]
    return _text(str(value))


def _text(text: str) -> str:
    # Masked before it is cut: half a secret no longer looks like one.
    clean = masked(text)
    return clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"


def _one_line(text: str) -> str:
    """Whoever can have a text logged must not be able to make it look like two lines."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)

"""What is kept, for people and for programs; and how far an import or a fetch is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from api.console.screen import errors, silent, table
from api.console.text import clean, percent, when
from data_channels.market.series import Gap
from data_channels.store import importer
from data_channels.store.base import BarKey, ReadingKey, Span, Stored
from data_channels.store.check import BarCheck
from data_channels.store.fetcher import Fetching
from trading_core.domain.clock import iso

_WIDE = 1_000  # steps of a progress bar that goes from 0 to 1


@contextmanager
def importing(files: int, *, shown: bool) -> Iterator[Callable[[importer.Progress], None]]:
    """A progress bar for each file, on a terminal; nothing elsewhere."""
    with _progress(shown=shown) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(now: importer.Progress) -> None:
            name = str(now.path)
            if name not in tasks:
                tasks[name] = progress.add_task(f"{len(tasks) + 1}/{files} {clean(now.path.name)}", total=_WIDE, rows="")
            progress.update(tasks[name], completed=int(now.done * _WIDE), rows=f"{now.rows:,} rows")

        yield tell


@contextmanager
def fetching(*, shown: bool) -> Iterator[Callable[[Fetching], None]]:
    """A progress bar for each series, on a terminal; nothing elsewhere."""
    with _progress(MofNCompleteColumn(), shown=shown) as progress:
        tasks: dict[BarKey, TaskID] = {}

        def tell(now: Fetching) -> None:
            if now.key not in tasks:
                tasks[now.key] = progress.add_task(clean(str(now.key)), total=now.wanted, rows="")
            progress.update(tasks[now.key], completed=now.asked, rows=f"{now.stored.added:,} new")

        yield tell


def show_imports(console: Console, done: Sequence[importer.Imported]) -> None:
    made = table("Imported", "file", "holds", "new", "there already", "replaced", "summed up", right=_COUNTS)
    for each in done:
        held = "known, skipped" if each.known else _holds(each)
        made.add_row(clean(each.path.name), held, *_counts(each.stored, known=each.known))
    console.print(made)


def import_document(done: importer.Imported) -> dict[str, object]:
    return {
        "file": str(done.path),
        "bars_of": None if done.series is None else _key_document(done.series),
        "known_before": done.known,
        **_stored_document(done.stored),
    }


def show_fetched(console: Console, done: Sequence[Fetching]) -> None:
    made = table("Fetched", "venue", "symbol", "bars", "asked for", "new", "not given", right=("asked for", "new", "not given"))
    for each in done:
        lacking = each.asked - each.stored.total
        counts = (f"{each.asked:,}", f"{each.stored.added:,}", f"{lacking:,}")
        made.add_row(clean(each.key.venue), clean(each.key.symbol), each.key.timeframe.code, *counts)
    console.print(made)


def fetch_document(done: Fetching) -> dict[str, object]:
    return {
        **_key_document(done.key),
        "asked_for": done.asked,
        "not_given": done.asked - done.stored.total,
        **_stored_document(done.stored),
    }


def show_list(console: Console, name: str, bars: Sequence[Span[BarKey]], readings: Sequence[Span[ReadingKey]], size: int) -> None:
    if bars:
        made = table("Bars", "venue", "symbol", "bars", "from UTC", "to UTC", "count", right=("count",))
        for span in bars:
            market = (clean(span.key.venue), clean(span.key.symbol), span.key.timeframe.code)
            made.add_row(*market, when(span.start), when(span.end), f"{span.count:,}")
        console.print(made)
        console.print()
    if readings:
        made = table("Readings", "source", "symbol", "name", "from UTC", "to UTC", "count", "rows", right=("count", "rows"))
        for each in readings:
            what = (clean(each.key.source), clean(each.key.symbol), clean(each.key.name))
            made.add_row(*what, when(each.start), when(each.end), f"{each.count:,}", f"{each.rows:,}")
        console.print(made)
        console.print()
    if not bars and not readings:
        console.print("Nothing is kept yet.")
    console.print(f"{clean(name)}: {size_text(size)}")


def list_document(name: str, bars: Sequence[Span[BarKey]], readings: Sequence[Span[ReadingKey]], size: int) -> dict[str, object]:
    return {
        "store": name,
        "bytes": size,
        "bars": [_key_document(span.key) | _span_document(span) for span in bars],
        "readings": [
            {
                "source": span.key.source,
                "symbol": span.key.symbol,
                "name": span.key.name,
                **_span_document(span),
                "rows": span.rows,
            }
            for span in readings
        ],
    }


def show_checks(console: Console, found: Sequence[BarCheck]) -> None:
    headings = ("venue", "symbol", "bars", "from UTC", "to UTC", "count", "missing", "gaps", "longest", "cannot be")
    made = table("Bars", *headings, right=headings[5:])
    for each in found:
        key, longest = each.span.key, each.longest
        share = Decimal(each.missing) / (each.missing + each.span.count)
        made.add_row(
            *(clean(key.venue), clean(key.symbol), key.timeframe.code, when(each.span.start), when(each.span.end)),
            *(f"{each.span.count:,}", f"{each.missing:,} ({percent(share)})", f"{len(each.gaps):,}"),
            _length(longest) if longest else "–",
            Text(f"{each.damaged:,}", "bold red" if each.damaged else ""),
        )
    console.print(made)
    for each in found:
        for line in each.damage:
            console.print(f"{clean(str(each.span.key))} {line}", style="red")


def check_document(found: BarCheck) -> dict[str, object]:
    return {
        **_key_document(found.span.key),
        **_span_document(found.span),
        "missing": found.missing,
        "gaps": len(found.gaps),
        "longest_gap": None if found.longest is None else _gap_document(found.longest),
        "damaged": found.damaged,
        "damage": list(found.damage),
    }


def show_gaps(console: Console, found: Mapping[BarKey, Sequence[Gap]]) -> None:
    if not any(found.values()):
        console.print("No bar is missing.")
        return
    made = table(
        "Missing bars", "venue", "symbol", "bars", "from UTC", "to UTC", "bars missing", "time", right=("bars missing", "time")
    )
    for key, each in found.items():
        for gap in each:
            times = (when(gap.start), when(gap.end), f"{gap.missing:,}", _length(gap))
            made.add_row(clean(key.venue), clean(key.symbol), key.timeframe.code, *times)
    console.print(made)


def gap_document(key: BarKey, gap: Gap) -> dict[str, object]:
    return _key_document(key) | _gap_document(gap)


def size_text(size: int) -> str:
    """Bytes for people."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


_COUNTS = ("new", "there already", "replaced", "summed up")


@contextmanager
def _progress(*columns: MofNCompleteColumn, shown: bool) -> Iterator[Progress]:
    console = errors()
    if not shown or not console.is_terminal:
        console = silent()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
        console=console,
    )
    with progress:
        yield progress


def _holds(done: importer.Imported) -> str:
    return "readings" if done.series is None else clean(str(done.series))


def _counts(stored: Stored, *, known: bool) -> list[str]:
    counts = (stored.added, stored.unchanged, stored.replaced, stored.folded)
    return ["–"] * len(counts) if known else [f"{count:,}" for count in counts]


def _length(gap: Gap) -> str:
    hours = (gap.end - gap.start) / timedelta(hours=1)
    return f"{hours:g} h" if hours < 72 else f"{hours / 24:g} d"


def _key_document(key: BarKey) -> dict[str, object]:
    return {"venue": key.venue, "symbol": key.symbol, "timeframe": key.timeframe.code}


def _span_document(span: Span[BarKey] | Span[ReadingKey]) -> dict[str, object]:
    return {"from": iso(span.start), "to": iso(span.end), "count": span.count}


def _gap_document(gap: Gap) -> dict[str, object]:
    return {"from": iso(gap.start), "to": iso(gap.end), "missing": gap.missing}


def _stored_document(stored: Stored) -> dict[str, object]:
    return {"added": stored.added, "unchanged": stored.unchanged, "replaced": stored.replaced, "folded": stored.folded}

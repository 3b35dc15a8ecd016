"""Pages of runs: those that the caller asked for, and with `record:read` all others but conversations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from api.http.pages import Page, PageRequest, make_cursor
from api.http.shared_reads import encode
from api.live.access import RunFacts, may_see
from api.services.runs import run_out
from api.state import ApiState
from trading_core.auth.permissions import Principal
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord, RunState

_MOST_READ = 1_000  # runs that one page looks at to find those that the caller may see


@dataclass(frozen=True, slots=True)
class _Row:
    """A run of a page. `facts` say who may see it."""

    sequence: int
    record: RunRecord
    request: RunRequest | None
    facts: RunFacts


@dataclass(frozen=True, slots=True)
class _Rows:
    """One reading, and the answers that were made of it, by the runs in them."""

    all: tuple[_Row, ...]
    answers: dict[tuple[int, ...], bytes] = field(default_factory=dict)


async def run_list(
    state: ApiState,
    who: Principal,
    page: PageRequest,
    accounts: Collection[str],
    kinds: tuple[RunKind, ...],
    states: tuple[RunState, ...],
    conversation: str | None = None,
) -> bytes:
    """A page of runs as JSON, newest first; of one conversation's turns, where it is named."""
    before, found, rows, read, is_more = page.after_number(), list[_Row](), _Rows(()), 0, True
    while is_more and len(found) < page.wanted and read < _MOST_READ:
        rows = await _rows(state, frozenset(accounts), page.wanted, before, kinds, states, conversation)
        found += (row for row in rows.all if may_see(who, row.facts))
        read, is_more = read + len(rows.all), len(rows.all) == page.wanted
        before = rows.all[-1].sequence if rows.all else before
    # Whoever sees the same runs of the same reading gets the same answer, written once.
    seen = tuple(row.sequence for row in found)
    is_of_one = read == len(rows.all)
    if is_of_one and (known := rows.answers.get(seen)) is not None:
        return known
    made = page.page(found, lambda row: (row.sequence,), lambda row: run_out(row.record, row.request))
    if made.next_cursor is None and is_more and before is not None:
        made = Page(items=made.items, next_cursor=make_cursor(before))
    answer = encode(made)
    if is_of_one:
        rows.answers[seen] = answer
    return answer


async def _rows(
    state: ApiState,
    accounts: frozenset[str],
    limit: int,
    before: int | None,
    kinds: tuple[RunKind, ...],
    states: tuple[RunState, ...],
    conversation: str | None,
) -> _Rows:
    async def read() -> _Rows:
        async with state.database.reading() as uow:
            rows = await uow.runs.page(
                accounts, limit=limit, before=before, kinds=kinds, states=states, conversation=conversation
            )
        return _Rows(tuple(_Row(sequence, record, asked, RunFacts.of(record, asked)) for sequence, record, asked in rows))

    return await state.shared.once(("runs", accounts, limit, before, kinds, states, conversation), read)

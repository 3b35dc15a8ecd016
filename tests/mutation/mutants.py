"""The mutants of a module: every change of Cosmic Ray's that changes what is run, and every change to a transition table."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

Position = tuple[int, int]
TABLE = "TRANSITIONS"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one module: the `occurrence`-th place where `operator` (Cosmic Ray's name) applies. Lines count from 1."""

    module: str
    line: int
    operator: str
    occurrence: int

    def applied(self, code: str) -> str:
        """The module's `code` with the change."""
        changed: str | None = mutate_code(code, get_operator(self.operator)(), self.occurrence)
        if changed is None:
            raise ValueError(f"{self} does not apply: the module is another one than its mutants were made from")
        return changed

    def shown(self, code: str) -> str:
        """The lines that change, before and after."""
        lines = list(difflib.unified_diff(code.splitlines(), self.applied(code).splitlines(), n=0))[3:]
        return "\n".join(f"  {line[0]} {line[1:].strip()}" for line in lines)


@dataclass(frozen=True, slots=True)
class RowMutant(Mutant):
    """A row of the transition table that is missing or leads to another state. Cosmic Ray leaves names as they are."""

    row: str
    instead: str

    def applied(self, code: str) -> str:
        return code.replace(self.row, self.instead, 1)


def mutants(root: Path, module: str) -> Iterator[Mutant]:
    """Every mutant of `module`, in the order of its operators and then of its lines.

    A change to an annotation is left out: annotations are not evaluated here, so no test could ever notice.
    """
    code = (root / module).read_text(encoding="utf-8")
    nodes, never_run = list(ast_nodes(get_ast(code))), _annotations(code)
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():
            continue
        operator = operator_class()
        places = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, start in enumerate(places):
            if not any(begins <= start < ends for begins, ends in never_run):
                yield Mutant(module, start[0], name, occurrence)
    yield from _rows(module, code)


def _rows(module: str, code: str) -> Iterator[RowMutant]:
    for node in ast.parse(code).body:
        if not (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == TABLE and isinstance(node.value, ast.Dict)):
            continue
        states = sorted({ast.unparse(value) for value in node.value.values})
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            name = ast.unparse(value)
            row = f"{ast.unparse(key) if key else ''}: {name},"
            if row not in code:
                raise ValueError(f"{module}: row {row!r} is written in another way")
            yield RowMutant(module, value.lineno, "row left out", 0, row, "")
            for other in states:
                if other != name:
                    yield RowMutant(module, value.lineno, f"row to {other}", 0, row, row.replace(f": {name},", f": {other},"))


def _annotations(code: str) -> list[tuple[Position, Position]]:
    """Where the annotations of a module stand."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.AnnAssign | ast.arg):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.returns)
    return [((e.lineno, e.col_offset), (e.end_lineno or 0, e.end_col_offset or 0)) for e in found if e is not None]

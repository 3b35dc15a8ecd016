"""The matrix of bad models and scorers over every scenario that needs no recordings.

    python -m tests.evals [SCENARIO …]

`*` marks a scorer that catches a model. Exit status 1 when a model is not caught by exactly those that should catch it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from agents.models.rules import RulesModel
from tests.evals.matrix import ASKED_SHOULD_CATCH, SHOULD_CATCH, caught_by, head, played, row, scenarios


async def main(names: list[str]) -> int:
    wrong = []
    with tempfile.TemporaryDirectory() as home:
        for kind, should_catch in (("decision", SHOULD_CATCH), ("question", ASKED_SHOULD_CATCH)):
            suite = [one for one in scenarios(kind) if not names or one.id in names]
            if not suite:
                continue
            rules = [one async for one in played(RulesModel(), suite, Path(home))]
            print(f"{len(suite)} scenarios, each a {kind}\n{head()}\n{row('rules', rules, rules)}", flush=True)
            for model in should_catch:
                judgements = [one async for one in played(model(), suite, Path(home))]
                print(row(model.__name__, judgements, rules), flush=True)
                caught, should = caught_by(judgements, rules), should_catch[model]
                wrong += [f"{model.__name__}: {scorer} should catch it and does not" for scorer in sorted(should - caught)]
                wrong += [f"{model.__name__}: {scorer} catches it and should not" for scorer in sorted(caught - should)]
    print("\n".join(wrong) or "Each is caught by exactly the scorers that should catch it.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))

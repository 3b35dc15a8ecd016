"""The same scenarios and scorers as a task of Inspect (https://inspect.aisi.org.uk), with whole trajectories in its logs.

    inspect eval evals/inspect_tasks.py --model openai/gpt-4.1-mini -T suite=crash
    inspect eval evals/inspect_tasks.py --model none -T decides=rules
    inspect view

A sample is a scenario, an epoch is a repeat. The desk plays the scenario as `algotrendy eval` does; Inspect's model answers for
its agents. Needs the extra `inspect`; nothing else of the harness imports this module.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import transcript
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, ChatMessageUser
from inspect_ai.scorer import Score as InspectScore
from inspect_ai.scorer import Scorer as InspectScorer
from inspect_ai.scorer import Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from pydantic import TypeAdapter

from agents.models.rules import RULES_MODEL_NAME
from evals.inspect_model import InspectModel
from evals.play import play
from evals.schema import Scenario
from evals.scorers.base import Scorer
from evals.scorers.reading import acted, words_of
from evals.scorers.registry import ALL
from evals.suites import load_suite
from evals.trajectory import Trajectory
from trading_core.domain.clock import iso

KEY = "trajectory"
_TRAJECTORY = TypeAdapter(Trajectory)


@task
def desk(suite: str = "all", decides: Literal["inspect", "rules"] = "inspect", data: str | None = None) -> Task:
    """A suite of scenarios.

    Args:
        suite: `all`, a category, a tag, an id, or a path.
        decides: `inspect` for the model that Inspect was given, `rules` for the embedded one.
        data: folder of recorded bars. Scenarios that need them and do not find them are an error of their sample.
    """
    samples = [
        Sample(
            id=scenario.id,
            input=f"{scenario.title}. {scenario.why}",
            target=_target(scenario),
            metadata={"category": scenario.category.value, "scenario": scenario.model_dump(mode="json")},
        )
        for scenario in load_suite(suite)
    ]
    return Task(
        dataset=MemoryDataset(samples, name=suite),
        solver=plays(decides, data),
        scorer=[_scorer(one) for one in ALL],
        name="algotrendy",
    )


@solver
def plays(decides: str, data: str | None) -> Solver:
    """Lets the desk decide in the scenario, and keeps what it did."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate  # the agents ask the model themselves
        scenario = Scenario.model_validate(state.metadata["scenario"])
        embedded = decides == "rules"
        with TemporaryDirectory(prefix="algotrendy-inspect-") as folder:
            trajectory = await play(
                scenario,
                Path(folder),
                model=None if embedded else InspectModel(),
                label=RULES_MODEL_NAME if embedded else str(state.model),
                price=None,
                repeat=state.epoch - 1,
                data=Path(data) if data else None,
            )
        kept = await asyncio.to_thread(_TRAJECTORY.dump_python, trajectory, mode="json")
        state.store.set(KEY, kept)
        state.messages.extend(_conversation(trajectory))
        done = [f"{one.symbol}: {one.did.value}" for one in acted(trajectory)]
        state.output.completion = ", ".join(done) or "\n".join(words_of(one) or one.why for one in trajectory.asked)
        transcript().info({"error": trajectory.error, "gate": dict(trajectory.gate_denials)}, source="desk")
        return state

    return solve


def _target(scenario: Scenario) -> list[str]:
    """What is acceptable, in a few words."""
    if scenario.question is None:
        return [f"{symbol}: {' or '.join(bounds.actions)}" for symbol, bounds in scenario.acceptable.items()]
    expected = scenario.question.expected
    return [f"answered by {', '.join(expected.agents)}", *(f"a card to {card.side} {card.symbol}" for card in expected.cards)]


def _conversation(trajectory: Trajectory) -> list[ChatMessage]:
    """Each agent's question, the evidence it was given, and its answer, in the order they came."""
    told: list[ChatMessage] = []
    for trail in trajectory.runs:
        for one in trajectory.asked:
            if one.run_id != trail.run.id:
                continue
            question = trajectory.scenario.question
            asked = f"{one.agent} {one.subject}" if question is None else f"@{one.agent} {question.text}"
            told.append(ChatMessageUser(content=f"{iso(trail.run.as_of)}: {asked}".strip()))
            told += [
                ChatMessageTool(content=json.dumps(each.result), function=each.tool, tool_call_id=each.id)
                for each in trail.evidence
                if (each.agent, each.subject) == (one.agent, one.subject)
            ]
            answer = one.why if one.answer is None else json.dumps(dict(one.answer), ensure_ascii=False, indent=1)
            told.append(ChatMessageAssistant(content=answer, source="generate"))
        for item in trail.intents:
            said = ", ".join(f"{each.verdict.value} {' '.join(each.reason_codes)}".strip() for each in item.decisions)
            wanted = item.intent
            told.append(
                ChatMessageUser(
                    content=f"gate: {wanted.purpose.value} {wanted.side.value} {wanted.quantity} {wanted.symbol}: {said}"
                )
            )
    return told


def _scorer(one: Scorer) -> InspectScorer:
    """One of the harness's scorers as Inspect's: its value, and its reasons as the explanation."""

    @scorer(metrics=[mean(), stderr()], name=one.__name__)
    def made() -> InspectScorer:
        async def score(state: TaskState, target: Target) -> InspectScore:
            del target  # what is acceptable is in the scenario
            found = one(_TRAJECTORY.validate_python(state.store.get(KEY)))
            if found.value is None:
                return InspectScore.unscored(explanation="nothing to judge")
            passed = "" if found.passed is None else "passed. " if found.passed else "not passed. "
            return InspectScore(value=found.value, explanation=passed + "\n".join(found.reasons))

        return score

    return made()

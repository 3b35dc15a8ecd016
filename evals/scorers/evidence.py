"""Grounding and tools: whether answers stand on what was read, and whether what was read was needed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from agents.answers import MarketView, Signal, reasons_of
from agents.grounding import cited, problems
from evals.questions import Question
from evals.scorers.base import Score, judged
from evals.scorers.reading import answer_of, faulted, offered, words_of
from evals.scorers.talk import answers
from evals.trajectory import ToolUse, Trajectory
from tools.context import Evidence


def grounding(trajectory: Trajectory) -> Score:
    """The share of answers of which every number stands in the evidence it cites.

    Checked again from the ledger by `agents.grounding`, whose rules of rounding apply; what the desk found wrong when the answer
    came counts as well.
    """
    kept: defaultdict[str, dict[str, Evidence]] = defaultdict(dict)
    for trail in trajectory.runs:
        for record in trail.evidence:
            result = record.result if isinstance(record.result, dict) else {"result": record.result}
            kept[record.run_id][record.id] = Evidence(record.id, record.tool, record.arguments, result)
    findings = []
    for one in trajectory.asked:
        answer, words = answer_of(one), words_of(one)
        texts = [words] if words is not None else None if answer is None else reasons_of(answer)
        if texts is not None:
            wrong = dict.fromkeys([*problems(texts, kept[one.run_id]), *one.problems])
            findings.append(f"{one.agent} {one.subject}: {'; '.join(wrong)}" if wrong else "")
    return judged("grounding", findings)


def tool_use(trajectory: Trajectory) -> Score:
    """Right tools, no waste, nothing ignored: the share of the model's own calls and of its telling answers that are right.

    A call is wrong when the agent is not offered the tool, when it repeats one that was answered, opening moves included, or when
    it fails by its arguments; calls of an agent whose model the scenario breaks are not judged. A view, an entry or an exit is
    wrong when it cites nothing: it ignores what the tools said.

    In a conversation a call may also fail because the operator may not have it, or wants what there is not; each tool that the
    question needs has to be called; and answers that have figures to state have to cite something.
    """
    return judged("tool_use", [*_calls(trajectory), *_ignored(trajectory), *_needed(trajectory)])


def _needed(trajectory: Trajectory) -> Iterator[str]:
    question = trajectory.scenario.question
    if question is None:
        return
    called = {use.tool for use in trajectory.tools}
    yield from ("" if tool in called else f"nobody called {tool}" for tool in question.expected.tools)
    if question.expected.figures and (told := answers(trajectory)):
        yield "" if cited(told.values()) else "figures are asked for, and no answer cites what a tool said"


def _calls(trajectory: Trajectory) -> Iterator[str]:
    answered: set[tuple[str, str, str, str, str]] = set()
    for use in trajectory.tools:
        call = (use.run_id, use.agent, use.subject, use.tool, _canonical(use))
        if not use.opening and not faulted(trajectory, "model", use.agent):
            yield _wrong_with(use, trajectory, repeated=call in answered)
        if not use.failed:
            answered.add(call)


def _wrong_with(use: ToolUse, trajectory: Trajectory, *, repeated: bool) -> str:
    head = f"{use.agent} {use.subject}: {use.tool}({_canonical(use)})"
    if use.tool not in offered(use.agent, in_words=trajectory.scenario.question is not None):
        return f"{head} is not offered to it"
    if repeated:
        return f"{head} was answered already"
    return f"{head} failed by its arguments" if use.failed and not _breaks_by_itself(use, trajectory) else ""


def _breaks_by_itself(use: ToolUse, trajectory: Trajectory) -> bool:
    """Whether a call fails by no fault of its caller: the scenario breaks the tool or the market that it reads, or it asks for a
    timeframe that the tool offers and the scenario's market does not have."""
    scenario = trajectory.scenario
    return (
        faulted(trajectory, "tool", use.tool)
        or any(fault.what == "feed" for fault in scenario.faults)
        or use.arguments.get("timeframe", "") not in ("", scenario.timeframe)
        or (scenario.question is not None and _as_wished(use, scenario.question))
    )


def _as_wished(use: ToolUse, question: Question) -> bool:
    """Whether a call fails for what the operator wants: it is not allowed, cannot be ordered, or is of a market there is not."""
    asked = " ".join([question.text, question.carried("thread")]).upper()
    about = (str(value).partition("/")[0].upper() for key, value in use.arguments.items() if key in ("symbol", "about"))
    return use.refused or use.tool == "propose_order" or any(name and name in asked for name in about)


def _canonical(use: ToolUse) -> str:
    return json.dumps(dict(use.arguments), sort_keys=True, default=str)


def _ignored(trajectory: Trajectory) -> Iterator[str]:
    for one in trajectory.asked:
        answer = answer_of(one)
        tells = (isinstance(answer, MarketView) and not answer.abstain) or (
            isinstance(answer, Signal) and answer.action in ("enter", "exit")
        )
        if answer is not None and tells:
            yield "" if cited(reasons_of(answer)) else f"{one.agent} {one.subject}: its answer cites nothing that a tool said"

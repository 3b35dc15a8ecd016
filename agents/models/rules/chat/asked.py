"""A turn as the rules see it: who is spoken to, what is asked, and what the tools have told so far."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from agents.models.rules.facts import Fact, results
from agents.plain_words import ASSET_NAMES, own_words, respelt

_AGENT = re.compile(r"You are the ([a-z ]+?) agent, talking with an operator")
_GOES_ON = re.compile(r"(?:and|why|what about|how about|how come|also|same|ok)\b")
_GOES_ON_AT_LENGTH = "and if "
_FEW = 4  # words
_WORDS_TOO = frozenset({"link", "dot"})  # assets that are called like a word


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    Attributes:
        agent: whose answer it is to be, such as `risk`.
        words: the question in the operator's own words, in lower case.
        earlier: the operator's question before it, and those that it went on with, newest first; empty when it is the first.
        facts: results of this turn's tools, in their order.
        called: what was called in this turn, with its arguments.
        tools: what may be called.
    """

    agent: str
    words: str
    earlier: str
    facts: tuple[Fact, ...]
    called: tuple[tuple[str, Mapping[str, Any]], ...]
    tools: Collection[str]

    @classmethod
    def read(cls, messages: Sequence[BaseMessage], tools: Collection[str]) -> Asked | None:
        """The newest question of a conversation; None of anything that is no conversation with an operator."""
        system = next((message.text for message in messages if isinstance(message, SystemMessage)), "")
        agent = _AGENT.search(system)
        questions = [at for at, message in enumerate(messages) if isinstance(message, HumanMessage)]
        if agent is None or not questions:
            return None
        turn = messages[questions[-1] :]
        called = tuple(
            (call["name"], call["args"]) for message in turn if isinstance(message, AIMessage) for call in message.tool_calls
        )
        before = _earlier([_own(messages[at].text) for at in questions[:-1]])
        return cls(agent[1].replace(" ", "_"), _own(turn[0].text), before, tuple(results(turn)), called, tools)

    def get(self, tool: str) -> Fact:
        """The newest result of a tool; an unavailable one when there is none."""
        return next((fact for fact in reversed(self.facts) if fact.tool == tool), Fact(tool, "", {"error": "not called"}))

    def all(self, tool: str) -> list[Fact]:
        """Every result of a tool, each once."""
        return list({fact.id: fact for fact in self.facts if fact.tool == tool}.values())

    def was_called(self, tool: str, **arguments: object) -> bool:
        return any(name == tool and all(args.get(key) == value for key, value in arguments.items()) for name, args in self.called)

    @property
    def named(self) -> tuple[str, ...]:
        """Assets that the question names, such as `BTC`, in its order."""
        found = []
        for word in re.findall(r"[a-z0-9]+", self.words):
            base = ASSET_NAMES.get(word, word.upper())
            is_known = base in self._bases or (base in ASSET_NAMES.values() and word not in _WORDS_TOO)
            found += [base] if is_known else []
        return tuple(dict.fromkeys(found))

    @property
    def strangers(self) -> tuple[str, ...]:
        """Those of them that the desk has not looked at; none while it has looked at one of them."""
        named = self.named
        return () if self._bases.intersection(named) else named

    @property
    def _bases(self) -> frozenset[str]:
        """Assets that this turn's tools were asked about."""
        symbols = (str(args.get(key)) for _, args in self.called for key in ("symbol", "about") if key in args)
        return frozenset(symbol.partition("/")[0] for symbol in symbols)

    def asks(self, pattern: str) -> bool:
        """Whether the question is of a kind; one like "and ETH?" or "why?" goes on with what was asked before it."""
        if re.search(pattern, self.words):
            return True
        return bool(_goes_on(self.words) and re.search(pattern, self.earlier))


def _own(text: str) -> str:
    """Without what is shown of others' words, and without the names of agents."""
    return " ".join(re.sub(r"(?<![\w@.])@\w+", " ", respelt(own_words(text))).lower().replace("’", "'").split())


def _goes_on(words: str) -> bool:
    """Whether a question goes on with the one before it."""
    return bool(len(words.split()) <= _FEW and _GOES_ON.match(words)) or words.startswith(_GOES_ON_AT_LENGTH)


def _earlier(questions: Sequence[str]) -> str:
    """The last question with those that it goes on with, newest first."""
    found: list[str] = []
    for words in reversed(questions):
        found.append(words)
        if not _goes_on(words):
            break
    return " ".join(found)

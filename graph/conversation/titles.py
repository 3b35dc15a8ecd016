"""Titles of conversations: data that people look at. No model is ever shown one."""

from __future__ import annotations

from data_channels.untrusted import Quoted

LONGEST_TITLE = 80


def title_of(question: str) -> str:
    """A title made of a first question: one line, without anything that moves a cursor or hides letters."""
    return Quoted.of("", question, LONGEST_TITLE).text or "Conversation"

"""The rules model in conversation: known questions answered from tool results, in plain sentences, every number cited."""

from agents.models.rules.chat.respond import respond

__all__ = ["respond"]

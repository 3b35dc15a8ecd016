"""The rules model: published indicator rules in the shape of a chat model. No LLM, no key, no network."""

from agents.models.rules.model import RULES_MODEL_NAME, RulesModel

__all__ = ["RULES_MODEL_NAME", "RulesModel"]

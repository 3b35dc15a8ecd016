"""The chat models agents speak through: the embedded rules, or any OpenAI-compatible endpoint."""

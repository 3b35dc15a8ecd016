"""The Hypothesis profile of a mutation run: the same few examples for every mutant. Loaded as a pytest plugin."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation", max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("mutation")

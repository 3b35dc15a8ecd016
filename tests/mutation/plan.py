"""What is mutated, and what has to notice."""

from __future__ import annotations

GATE = (
    "trading_core/risk/engine.py",
    "trading_core/risk/checks.py",
    "trading_core/risk/checks_account.py",
    "trading_core/risk/checks_actor.py",
    "trading_core/risk/checks_facts.py",
    "trading_core/risk/checks_order.py",
    "trading_core/risk/state.py",
    "trading_core/risk/sizing.py",
    "trading_core/domain/orders.py",
)
SCORERS = (
    "evals/scorers/action.py",
    "evals/scorers/answers.py",
    "evals/scorers/base.py",
    "evals/scorers/bootstrap.py",
    "evals/scorers/calibration.py",
    "evals/scorers/evidence.py",
    "evals/scorers/honesty.py",
    "evals/scorers/limits.py",
    "evals/scorers/measures.py",
    "evals/scorers/reading.py",
    "evals/scorers/suite.py",
)
MODULES = (*GATE, *SCORERS)
# Those that say most in least time first: the first failure ends a run.
GATE_TESTS = (
    "tests/unit/test_risk_found.py",
    "tests/unit/test_risk_bounds.py",
    "tests/unit/test_risk_facts.py",
    "tests/unit/test_risk_gate.py",
    "tests/unit/test_risk_numbers.py",
    "tests/unit/test_risk_state.py",
    "tests/unit/test_domain_orders.py",
    "tests/unit/test_risk_sizing.py",
    "tests/unit/test_risk_hostile.py",
)
SCORER_TESTS = (
    "tests/unit/test_scorers_action.py",
    "tests/unit/test_scorers_evidence.py",
    "tests/unit/test_scorers_measures.py",
)
OWN = {
    "evals/scorers/bootstrap.py": "tests/unit/test_scorers_measures.py",
    "evals/scorers/calibration.py": "tests/unit/test_scorers_measures.py",
    "evals/scorers/measures.py": "tests/unit/test_scorers_measures.py",
    "evals/scorers/suite.py": "tests/unit/test_scorers_measures.py",
    "evals/scorers/answers.py": "tests/unit/test_scorers_evidence.py",
    "evals/scorers/evidence.py": "tests/unit/test_scorers_evidence.py",
    "evals/scorers/honesty.py": "tests/unit/test_scorers_evidence.py",
    "trading_core/risk/state.py": "tests/unit/test_risk_state.py",
    "trading_core/risk/sizing.py": "tests/unit/test_risk_sizing.py",
    "trading_core/domain/orders.py": "tests/unit/test_domain_orders.py",
}
LEAST_SCORE = 0.90


def tests_for(module: str) -> list[str]:
    """All that are about its kind, the module's own first."""
    return sorted(SCORER_TESTS if module in SCORERS else GATE_TESTS, key=lambda test: test != OWN.get(module))

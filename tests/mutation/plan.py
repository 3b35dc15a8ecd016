"""What is mutated, and what has to notice."""

from __future__ import annotations

MODULES = (
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
# Those that say most in least time first: the first failure ends a run.
TESTS = (
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
OWN = {
    "trading_core/risk/state.py": "tests/unit/test_risk_state.py",
    "trading_core/risk/sizing.py": "tests/unit/test_risk_sizing.py",
    "trading_core/domain/orders.py": "tests/unit/test_domain_orders.py",
}
LEAST_SCORE = 0.90


def tests_for(module: str) -> list[str]:
    """All of them, the module's own first."""
    return sorted(TESTS, key=lambda test: test != OWN.get(module))

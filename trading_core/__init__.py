"""The deterministic ground: money, rules, orders and the record. No model, no web framework."""

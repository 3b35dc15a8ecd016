"""Typed tools: what an agent may do, with whose permission."""

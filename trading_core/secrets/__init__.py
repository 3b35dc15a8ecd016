"""Where secrets come from, and how venue keys are kept.

Always imported as `trading_core.secrets`: the standard library has a module of that name too.
"""

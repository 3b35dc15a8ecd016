"""What was measured and when it became known, kept: bars and readings, for backtests, replays and people."""

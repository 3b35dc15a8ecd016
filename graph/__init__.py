"""When each agent speaks: the cycle, runs, conversations, schedules, pauses and budgets."""

"""What people set beside the core: pauses, budgets, and how each agent speaks."""

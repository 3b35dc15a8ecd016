"""When each agent speaks: state machines, the runner, schedules."""

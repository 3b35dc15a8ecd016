"""Five agents: prompt, tools, answer schema, permissions; and the models they speak through."""

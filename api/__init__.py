"""The doors of the desk: command line, HTTP API with its streams, chat, MCP, metrics."""

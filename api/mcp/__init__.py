"""The desk for MCP clients: the tools that its agents have, and a person's own hand, with the rights of whoever authenticated."""

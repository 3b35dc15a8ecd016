"""Where orders go: one port, the paper exchange behind it, real venues later."""

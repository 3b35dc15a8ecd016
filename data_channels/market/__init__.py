"""Market feeds: generated prices, files of past bars, and any venue's public data, behind one port.

Import a feed from its own module; `live` loads ccxt only when a feed is opened.
"""

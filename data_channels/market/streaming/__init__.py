"""A venue's public streams as a market feed: `feed.StreamFeed`.

    sockets   ccxt.pro's sockets, with exact numbers, and with an end that is heard of
    link      opens them, reads every frame at once, opens them anew
    filler    closes holes in a tape, over REST
    tape      which trades of a market are known, and where something is missing
    minutes   the trades of each minute added up, and bars of them
    shelf     bars that are known to be whole
    market    all of it for one market; what a reader asks

Only `sockets`, `link`, `filler` and `feed` do anything outside; the rest are sums over what they are told.
"""

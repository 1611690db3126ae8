"""`trident bench`: an open load on a running server, and one report of what came of it."""

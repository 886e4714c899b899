"""ST-BLN and its progressive search, PST-BLN."""

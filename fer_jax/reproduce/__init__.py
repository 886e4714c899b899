"""Makes the tables and figures of the papers again, ours beside theirs."""

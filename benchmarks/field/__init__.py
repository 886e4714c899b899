"""Inputs as users bring them, and faults of storage, run through the public commands.

`python -m benchmarks.field DATA` prints what is answered and whether it is right.
"""

"""Faults on purpose: kills, interrupts, flipped bits, hostile files, full disks.

`python -m benchmarks.faults` counts how the commands end.
"""

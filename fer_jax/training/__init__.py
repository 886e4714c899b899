"""Trains runs: steps, devices, checkpoints, starting weights."""

"""Trains runs: steps, devices, checkpoints, initial weights."""

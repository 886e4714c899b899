"""Convolutions that are fast on a CPU."""

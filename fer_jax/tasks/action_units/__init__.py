"""Presence of action units in a frame."""

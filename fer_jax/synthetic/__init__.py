"""Synthetic people: moving faces and their videos."""

"""Synthetic people: faces that move, drawn as video."""

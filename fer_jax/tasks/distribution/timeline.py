"""The timeline of a clip is that of a classifier."""

from fer_jax.tasks.classification.timeline import draw_timeline

__all__ = ["draw_timeline"]

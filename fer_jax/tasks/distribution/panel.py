"""The panel beside a picture in an annotated video is that of a classifier."""

from fer_jax.tasks.classification.panel import draw_panel

__all__ = ["draw_panel"]

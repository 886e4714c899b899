"""The panel beside a picture in an annotated video is that of a classifier."""

from fer_jax.tasks.classification.panel import ambiguity, bars, draw_panel

__all__ = ["ambiguity", "bars", "draw_panel"]

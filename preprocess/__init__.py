"""From videos, images and landmark files to a prepared dataset: `python -m preprocess`."""

PREPROCESS_VERSION = 1  # raise it when a source would give other landmarks: clips are redone

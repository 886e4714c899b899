"""From videos, images and landmark files to a prepared data set: `python -m preprocess`."""

PREPROCESS_VERSION = 1  # raise it when the same source would give other landmarks: finished clips are redone

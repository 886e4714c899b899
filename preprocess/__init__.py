"""Turns videos, images and landmark files into a prepared dataset: `python -m preprocess`."""

PREPROCESS_VERSION = 2  # raise it when landmarks change: finished clips are then read again

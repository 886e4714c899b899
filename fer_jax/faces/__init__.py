"""Finds and describes a face, for training and prediction alike."""

"""Predicts pictures one by one, and faces of which only boxes are known."""

"""What the figures of all tasks and systems share."""

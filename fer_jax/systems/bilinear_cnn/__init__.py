"""The bilinear CNN of dimensions of emotion."""

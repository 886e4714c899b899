"""The networks in PyTorch, for speed and agreement."""

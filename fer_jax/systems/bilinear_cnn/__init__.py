"""The bilinear CNN for valence, arousal and dominance."""

"""FER-GCN: a graph over the frames of a clip."""

"""FER-GCN: frames of a clip as the nodes of a graph."""

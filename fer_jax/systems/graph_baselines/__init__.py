"""ST-GCN, AGCN and DGNN, the baselines of ST-BLN."""

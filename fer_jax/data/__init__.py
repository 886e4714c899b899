"""Loads prepared datasets, divides them into folds and makes batches."""

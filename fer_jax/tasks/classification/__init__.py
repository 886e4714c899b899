"""One class for every clip."""

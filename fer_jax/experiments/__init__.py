"""Runs experiments: from a config to a report and a bundle."""

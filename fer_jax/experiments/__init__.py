"""From a config to a report."""

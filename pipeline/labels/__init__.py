"""The package `labels`."""

"""The package `monitoring`."""

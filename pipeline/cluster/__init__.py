"""The package `cluster`."""

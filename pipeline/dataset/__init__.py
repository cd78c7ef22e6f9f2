"""The package `dataset`."""

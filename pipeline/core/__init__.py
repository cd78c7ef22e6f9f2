"""The package `core`."""

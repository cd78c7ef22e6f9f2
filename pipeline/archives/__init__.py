"""The package `archives`."""

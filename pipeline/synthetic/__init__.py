"""The package `synthetic`."""

"""The package `scoring`."""

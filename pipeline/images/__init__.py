"""The package `images`."""

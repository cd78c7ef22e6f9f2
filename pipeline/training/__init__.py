"""The package `training`."""

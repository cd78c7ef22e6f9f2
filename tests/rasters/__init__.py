"""Tests of the package `rasters`."""

"""Tests of the package `labels`."""

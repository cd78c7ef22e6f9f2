"""Tests of the package `evaluation`."""

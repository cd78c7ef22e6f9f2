"""Tests of the package `adaptation`."""

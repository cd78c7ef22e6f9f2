"""Tests of `pipeline.measurement`."""

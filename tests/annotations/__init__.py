"""Tests of `pipeline.annotations`."""

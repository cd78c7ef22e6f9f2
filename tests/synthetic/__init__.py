"""Tests of `pipeline.synthetic`."""

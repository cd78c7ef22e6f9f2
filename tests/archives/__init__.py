"""Tests of `pipeline.archives`."""

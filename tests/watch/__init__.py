"""Tests of pipeline/watch."""

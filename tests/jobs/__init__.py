"""Tests of job entry points."""

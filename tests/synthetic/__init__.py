"""Tests of synthetic photos."""

"""Tests of the output dataset."""

"""Tests of Ray and machines."""

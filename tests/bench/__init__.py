"""Benchmarks: run by hand, never as tests; tests beside them hold what they measure with."""

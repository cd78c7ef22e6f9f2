"""Fakes, servers and packers that tests share, and tests of these."""

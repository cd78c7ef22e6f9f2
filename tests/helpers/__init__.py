"""Fakes, servers and packers that tests share; no tests but their own."""

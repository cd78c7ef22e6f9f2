"""Tests of whole runs: kills, hostile files, faults of stores, clusters, secrets."""

"""All tests; the folders mirror the packages of `pipeline`."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The project's root."""

"""Tests of places for people to look at."""

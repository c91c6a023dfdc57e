"""Helpers that tests, benchmarks and the chaos run share."""

"""The gallery page."""

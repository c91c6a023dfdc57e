"""Simulated clients over real HTTP, and the job requests that they send."""

"""The audit: what happened to each job, and whether every guarantee held."""

"""Clients, jobs and workers that the measurements of the service use."""

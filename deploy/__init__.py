"""Deployments of Easel: on one machine, and in containers."""

"""Tenants: their keys, quotas, webhook secrets and audit log."""

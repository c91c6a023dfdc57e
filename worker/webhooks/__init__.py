"""Sends webhook events from the outbox."""

"""Delivery of webhook events: `sender` takes them from the outbox and signs them, `http` sends one request."""

"""The job model and its parts: states, record, events, previews, resource estimates, run history and webhooks."""

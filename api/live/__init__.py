"""What many clients follow at once: the event hub, and answers shared between requests."""

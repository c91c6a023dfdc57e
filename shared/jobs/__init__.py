"""What a job is and what is known about it: its states, record, events, previews, estimates and webhook."""

"""Generated requests, sent to the real app: `make fuzz`."""

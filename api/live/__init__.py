"""State that requests share: the event hub, the snapshot batcher and a cache for values that many requests read."""

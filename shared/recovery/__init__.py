"""A job's files in the blob store, which survive the loss of Redis: reading and writing, rebuilding, deletion."""

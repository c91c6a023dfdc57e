"""The inputs of jobs: decoded in processes that can be killed, and stored by their hash."""

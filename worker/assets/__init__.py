"""Tasks that are no jobs, such as fetching images from URLs. They have a Celery queue, which the reaper serves."""

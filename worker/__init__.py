"""What claims jobs and paints them: Celery around the engine."""

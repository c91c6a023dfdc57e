"""Time-lapses made from a job's previews, and a cache for them and for thumbnails."""

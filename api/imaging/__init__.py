"""Thumbnails and time-lapses made from a job's images."""

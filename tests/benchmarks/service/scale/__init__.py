"""`make scale`: many workers on separate networks that share only Redis and S3."""

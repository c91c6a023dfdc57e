"""What the blob store keeps about each job, and how records are rebuilt from it when Redis loses its data."""

"""The page that submits a job and shows it."""

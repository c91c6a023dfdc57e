"""What `make bench` measures; NOTES.md says what was predicted, found, kept and dropped."""

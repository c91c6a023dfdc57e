"""The benchmarks of `make bench`. NOTES.md records what was tried: predictions, measurements and decisions."""

"""The benchmarks of the service: polls, watchers, lists, submissions, scaling and estimates."""

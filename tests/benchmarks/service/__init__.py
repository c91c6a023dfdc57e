"""The service's own speed: polls, watchers, lists, submissions, and many workers at once."""

"""The stack under test, started from the real parts with proxies and crash points between them."""

"""`make up` and `make demo`: all of Easel on one machine."""

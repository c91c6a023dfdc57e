"""The whole of Easel on one machine: `make up` and `make demo`."""

"""The version of Easel: of the client, the API and the workers."""

__version__ = "0.2.0"

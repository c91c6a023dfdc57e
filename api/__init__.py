"""The HTTP API and the web pages. Imports no TensorFlow."""

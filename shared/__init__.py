"""What the API and the workers agree on. Imports neither of them, and no TensorFlow."""

__version__ = "0.1.0"

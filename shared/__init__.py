"""What the API and the workers agree on. Imports neither of them, and no TensorFlow."""

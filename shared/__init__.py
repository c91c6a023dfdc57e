"""What the API and the workers share. Imports neither of them, and no TensorFlow."""

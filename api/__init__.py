"""The HTTP face of Easel, its Python client and its command line. Knows no tensors."""

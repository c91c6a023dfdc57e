"""How fast a step is, how soon a loss is reached, and what a long life of the worker costs."""

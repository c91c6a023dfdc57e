"""`make chaos`: jobs run on the real stack while everything around them breaks, and an audit of what became of them."""

"""The engine, the tutorial's loop and PyTorch as peers: separate processes that run one step on request."""

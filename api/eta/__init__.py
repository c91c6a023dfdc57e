"""When jobs will finish: a speed model, a simulation of the queue, and the service that keeps a forecast."""

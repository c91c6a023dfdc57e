"""Estimates of when jobs will end: a speed model, a simulation of the queue, the forecast, and its cache."""

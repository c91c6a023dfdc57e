"""Estimates of when jobs will end: a speed model, a simulation of the queue, and the forecast that uses both."""

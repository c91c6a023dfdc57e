"""Ways to run Easel: one machine, containers."""

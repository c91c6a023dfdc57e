"""`python -m worker` is `easel-worker`."""

from worker.cli import main

main()

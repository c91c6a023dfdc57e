"""`make chaos`: run jobs on the real stack, inject faults everywhere, and audit every job afterwards."""

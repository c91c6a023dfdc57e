"""What the `easel` command (easel/cli.py) shows: tables, live bars, pictures."""

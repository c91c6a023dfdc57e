"""What the `easel` command (api/cli.py) shows: tables, live bars, pictures."""

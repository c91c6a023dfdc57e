"""Output of the `easel` command (easel/cli.py): tables, progress bars, previews."""

"""The command line, `python -m embeddings`.

Each command is a module, or a few functions of one: its arguments and its implementation. Results
go to stdout as JSON Lines, progress and summaries to stderr.
"""

from embeddings.cli.main import main

__all__ = ["main"]

"""`python -m embeddings`: the library as commands.

Each command is a module, or a few functions of one: its arguments, and what it does. Results go
to stdout as lines of JSON, progress and summaries to stderr.
"""

from embeddings.cli.main import main

__all__ = ["main"]

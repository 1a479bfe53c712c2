"""Entry point of `python -m embeddings`; see `embeddings.cli`."""

import sys

from embeddings.cli import main

if __name__ == "__main__":
    sys.exit(main())

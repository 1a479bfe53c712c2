"""`python -m embeddings`: see `embeddings.commands`."""

import sys

from embeddings.commands import main

if __name__ == "__main__":
    sys.exit(main())

"""Models: cards that describe them, and the loading of their weights."""

"""Models: model cards, and loading of their weights."""

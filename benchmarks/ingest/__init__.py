"""How fast pictures come in, and what survives kills."""

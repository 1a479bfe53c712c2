"""Collections of rows: where they come from, what is done with them, where they go."""

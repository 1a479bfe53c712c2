"""Display of rows as tables, for terminals and notebooks."""

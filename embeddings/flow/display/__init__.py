"""Rows as tables, for a terminal and for a notebook."""

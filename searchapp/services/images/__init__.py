"""Stored images: deletion, selection, and actions on many at once."""

"""Heatmaps: which regions of two pictures contribute to their similarity."""

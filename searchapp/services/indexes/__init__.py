"""Indexes of datasets: their lifecycle, building and comparison."""

"""Comparison of two pictures: similarity, kind of match and explanation."""

"""Engines that run the segments of a collection: local threads, or Ray processes."""

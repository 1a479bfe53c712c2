"""Rows on their way through steps: collections, graph pipelines, and the engines that run them."""

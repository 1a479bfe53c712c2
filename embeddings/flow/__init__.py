"""Data flow: collections, graph pipelines, and the engines that run them."""

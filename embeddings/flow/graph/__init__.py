"""Graph pipelines: columns, and the operators and functions that lead from one to the next."""

from embeddings.flow.graph.pipeline import Pipeline

__all__ = ["Pipeline"]

"""Graph pipelines: operators and functions over named columns."""

from embeddings.flow.graph.pipeline import Pipeline

__all__ = ["Pipeline"]

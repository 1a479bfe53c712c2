"""Bundles: vectors in a folder, with a manifest that says what they are.

`BundleWriter` writes one, `load` reads it, `export` writes it in another format, and `to_faiss`
makes an index of it.
"""

from embeddings.bundle.faiss_index import to_faiss
from embeddings.bundle.formats import FORMATS
from embeddings.bundle.reader import Bundle, load
from embeddings.bundle.rows import Batch
from embeddings.bundle.writer import BundleWriter, export

__all__ = ["FORMATS", "Batch", "Bundle", "BundleWriter", "export", "load", "to_faiss"]

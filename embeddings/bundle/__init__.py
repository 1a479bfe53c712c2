"""Bundles: folders of vectors with ids, metadata and a manifest that describes them.

`BundleWriter` writes a bundle, `load` reads one, `export` writes it in another format, and
`to_faiss` builds a FAISS index from it.
"""

from embeddings.bundle.faiss_index import to_faiss
from embeddings.bundle.formats import FORMATS
from embeddings.bundle.reader import Bundle, load
from embeddings.bundle.rows import Batch
from embeddings.bundle.writer import BundleWriter, export

__all__ = ["FORMATS", "Batch", "Bundle", "BundleWriter", "export", "load", "to_faiss"]

"""Ingestion of images: acceptance of files, and claims of images by workers."""

"""Milvus Lite for several processes: our launcher and what it runs."""

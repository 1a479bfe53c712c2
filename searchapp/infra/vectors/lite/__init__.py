"""Milvus Lite for several processes: our launcher and its parts."""

"""Operators: one file a family, each registered by `task.implementation` and version.

Importing this package loads none of them; `embeddings.operators.registry` finds them by name.
"""

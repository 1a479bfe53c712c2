"""Operators of recipes, registered as `task.implementation` with a version.

Importing this package loads none of them; `embeddings.operators.registry` finds them by name.
"""

"""Datasets: creation, members, deletion, and the demo gallery."""

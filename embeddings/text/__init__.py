"""Text beside pictures: encoders of sentences, and what makes pictures comparable with them.

Importing this package loads none of it. Nothing here ever asks a network.
"""

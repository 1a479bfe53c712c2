"""Text embeddings comparable with those of pictures: MiniLM, and CLIP and SigLIP text towers.

Importing this package loads none of them. Only `user_towers.fetch_text_tower` uses the network.
"""

"""What tasks share: loaded models, caches, leases and replies."""

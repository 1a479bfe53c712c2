"""Code shared by tasks: loaded models, caches, leases and replies."""

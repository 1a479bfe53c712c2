"""Two pictures side by side: how alike they are, and why."""

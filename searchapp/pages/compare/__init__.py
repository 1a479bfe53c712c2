"""The page that lays two pictures side by side."""

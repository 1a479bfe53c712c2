"""The page that compares two images."""

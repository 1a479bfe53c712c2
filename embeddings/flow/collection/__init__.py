"""`DataCollection`: chains of steps over rows."""

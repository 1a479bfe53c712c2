"""Middleware: what every request passes before a view sees it."""

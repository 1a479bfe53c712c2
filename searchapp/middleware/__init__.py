"""Middleware for all requests."""

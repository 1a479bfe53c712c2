"""Celery tasks, one file for each concern."""

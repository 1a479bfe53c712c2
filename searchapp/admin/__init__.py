"""The admin site for staff: datasets, images, indexes, jobs, failed tasks, users, API keys."""

from searchapp.admin import datasets, images, jobs, operations, users

__all__ = ["datasets", "images", "jobs", "operations", "users"]

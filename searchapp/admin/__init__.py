"""The administration for staff: datasets, images, indexes, jobs, failed tasks, users, keys."""

from searchapp.admin import datasets, images, jobs, operations, users

__all__ = ["datasets", "images", "jobs", "operations", "users"]

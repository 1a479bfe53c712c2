"""The staff's side: datasets, images, indexes, jobs, failed tasks, users, keys."""

from searchapp.admin import datasets, images, jobs, operations, users

__all__ = ["datasets", "images", "jobs", "operations", "users"]

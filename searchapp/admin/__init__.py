"""The staff's side: datasets, images, indexes, jobs, users, keys."""

from searchapp.admin import datasets, images, jobs, users

__all__ = ["datasets", "images", "jobs", "users"]

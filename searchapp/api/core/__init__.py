"""Authentication, permissions, pagination and errors of the REST API."""

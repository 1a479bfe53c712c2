"""Exceptions of the services, with a sentence for people and a code for programs."""

from __future__ import annotations


class ServiceError(Exception):
    """An error with a stable code, a sentence, and a matching HTTP status."""

    status = 400

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status or self.status
        self.retry_after = retry_after


class Invalid(ServiceError):
    status = 400


class Conflict(ServiceError):
    status = 409


class Gone(ServiceError):
    status = 410


class BadPicture(ServiceError):
    """The query picture cannot be used."""

    status = 422


class Unavailable(ServiceError):
    """A required service does not answer now; retrying helps."""

    status = 503

    def __init__(self, code: str, detail: str, retry_after: int = 5) -> None:
        super().__init__(code, detail, retry_after=retry_after)

"""Limits on guessing: wrong passwords by name and address, wrong keys by address.

Only failures count, so that nobody who signs in rightly waits. A name is never closed as a whole:
somebody who guesses it must not lock its owner out, who comes from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from searchapp.infra import attempts
from searchapp.services.errors import ServiceError


class TooManyAttempts(ServiceError):
    status = 429

    def __init__(self, detail: str, seconds: int) -> None:
        super().__init__("too_many_attempts", detail, retry_after=max(1, seconds))


@dataclass(frozen=True)
class Limit:
    """At most `number` failures in `seconds`, counted from the first one."""

    kind: str
    number: int
    seconds: int
    sentence: str

    def check(self, who: str) -> None:
        """Raise `TooManyAttempts`, code `too_many_attempts`, where there were too many."""
        number, left = attempts.counted(f"{self.kind} {who}")
        if number >= self.number:
            raise TooManyAttempts(self.sentence, left)

    def count(self, who: str) -> None:
        attempts.count(f"{self.kind} {who}", self.seconds)

    def forget(self, who: str) -> None:
        attempts.forget(f"{self.kind} {who}")


_WAIT = "Wait some minutes, then try again."
PASSWORDS_OF_NAME = Limit(
    "passwords of a name", 10, 600, f"Too many wrong passwords for this name from here. {_WAIT}"
)
PASSWORDS = Limit("passwords", 100, 600, f"Too many wrong passwords from here. {_WAIT}")
# A key cannot be guessed; this limits the noise. Right keys are always taken.
KEYS = Limit("keys", 20, 600, f"Too many wrong keys from here. {_WAIT}")

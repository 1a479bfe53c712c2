"""API keys."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.db import models

from searchapp.models.choices import Scope


def key_digest(key: str) -> str:
    """Return the SHA-256 of a key.

    Keys are 256 random bits, so a plain SHA-256 is as hard to reverse as a slow hash.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    return f"lk_{secrets.token_urlsafe(32)}"


class ApiKey(models.Model):
    """A key that acts for one user, within one scope. The key itself is shown once, at creation."""

    name = models.CharField(max_length=100)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys"
    )
    prefix = models.CharField(max_length=12, help_text="the key's first characters")
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=5, choices=Scope.choices, default=Scope.READ)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, blank=True)
    revoked = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, *, name: str, user_id: int, scope: str) -> tuple[ApiKey, str]:
        """Create a key. Returns the row and the key in plain text, which is not stored."""
        key = new_key()
        row = cls.objects.create(
            name=name, user_id=user_id, scope=scope, prefix=key[:8], digest=key_digest(key)
        )
        return row, key

    def allows(self, scope: str) -> bool:
        order = [Scope.READ, Scope.WRITE, Scope.ADMIN]
        return order.index(Scope(self.scope)) >= order.index(Scope(scope))

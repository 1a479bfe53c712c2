"""The WSGI application."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request. `LOOKALIKE_PREFIX`, where a proxy passes it on, is no part of its path."""
    from django.conf import settings

    path: str = environ.get("PATH_INFO", "")
    if settings.PREFIX and (path == settings.PREFIX or path.startswith(f"{settings.PREFIX}/")):
        environ["PATH_INFO"] = path.removeprefix(settings.PREFIX) or "/"
    return _django(environ, start_response)

"""Gunicorn's configuration: `gunicorn -c python:searchapp.webserver searchapp.wsgi:application`."""

from __future__ import annotations

import gc
import threading
from typing import Any

from django.conf import settings

from searchapp.infra.vectors.client import import_driver

_host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
bind = [f"{_host}:{settings.PORT}"]
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
# A worker that stops beating is replaced; a slow upload does not stop a threaded worker's heart.
timeout = 60
# All of a search is in its address, long filters too.
limit_request_line = 8190
graceful_timeout = 10
keepalive = 30
max_requests_jitter = 0
worker_tmp_dir = str(settings.RUNTIME_DIR)
control_socket_disable = True
if hasattr(settings, "SECURE_PROXY_SSL_HEADER"):
    forwarded_allow_ips = "*"
else:
    secure_scheme_headers: dict[str, str] = {}  # nobody's word for it is taken


def post_worker_init(worker: Any) -> None:
    """Import what the first search needs, after the fork and beside the first requests."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    import_driver()
    # What is loaded now stays for good: collections during requests need not look through it.
    gc.collect()
    gc.freeze()

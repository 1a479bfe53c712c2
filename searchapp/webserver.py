"""Gunicorn's configuration: `gunicorn -c python:searchapp.webserver searchapp.wsgi:application`."""

from __future__ import annotations

import gc
import threading
from typing import Any

from django.conf import settings

from searchapp.infra.vectors.client import import_driver

_host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
bind = [f"{_host}:{settings.PORT}"]
worker_class = "searchapp.web_worker.BufferingWorker"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
# A worker without a heartbeat is replaced. A slow upload does not stop the heartbeat of a threaded
# worker: its main loop receives requests.
timeout = 60
# A search is completely described by its URL, including long filters.
limit_request_line = 8190
graceful_timeout = 10
keepalive = 30
max_requests_jitter = 0
worker_tmp_dir = str(settings.RUNTIME_DIR)
control_socket_disable = True
# From any client these headers are plain text: Django reads what `LOOKALIKE_PROXY_HEADERS` allows.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""


def post_worker_init(worker: Any) -> None:
    """Import modules for the first search, after the fork and in parallel to first requests."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    import_driver()
    # Modules loaded by now stay loaded, so garbage collection during requests can skip them.
    gc.collect()
    gc.freeze()

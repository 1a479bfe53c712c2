"""`manage.py serve`: run the whole application on this machine until it is stopped."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError
from django.db import connections

from searchapp.services.datasets import demo_gallery
from searchapp.supervision import preparation
from searchapp.supervision.programs import programs
from searchapp.supervision.supervisor import Watch

_POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Prepare the data, start everything under a supervisor, and serve until stopped."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
        lock = preparation.take_data_folder(self.address)
        preparation.check_port()
        self._say("Preparing the database and the pages …")
        preparation.prepare_database()
        preparation.collect_static()
        password = preparation.prepare_administrator()
        self._load_demo()
        connections.close_all()

        watch = Watch(programs())
        self._say("Starting …")
        threading.Thread(target=self._announce, args=(watch, password), daemon=True).start()
        reason = watch.run()
        lock.close()
        if reason is not None:
            raise CommandError(f"Lookalike has stopped: {reason}")
        self._say("Lookalike has stopped.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _load_demo(self) -> None:
        marker = Path(settings.DATA_DIR) / "demo-loaded"
        if not settings.DEMO or marker.exists():
            return
        self._say("Taking in the demo gallery …")
        demo_gallery.load(get_user_model().objects.get(username=preparation.ADMIN))
        marker.touch()

    def _announce(self, watch: Watch, password: str) -> None:
        """Wait until the application is ready, print its address, then show the demo's progress."""
        body = self._ready()
        while body is None or body.get("status") != "ready":
            if watch.stopping:
                return
            time.sleep(_POLL_SECONDS)
            body = self._ready()
        self._say(
            f"\nLookalike is ready.\n\n"
            f"  Address   {self.address}/\n"
            f"  Name      {preparation.ADMIN}\n"
            f"  Password  {password}\n"
            f"  Data      {settings.DATA_DIR}\n"
            f"  Logs      {settings.DATA_DIR / 'log'}\n"
            f"  Stop      Ctrl-C\n"
        )
        self._follow_demo(watch, body)

    def _follow_demo(self, watch: Watch, body: dict[str, Any] | None) -> None:
        shown = ""
        total = (body or {}).get("demo", {}).get("total", 0)
        if (body or {}).get("demo", {}).get("ready", 0) >= total:
            return
        while not watch.stopping:
            body = self._ready()
            if body is not None and "demo" in body:
                done, total = body["demo"]["ready"], body["demo"]["total"]
                line = f"Demo gallery: {done} of {total} pictures can be found."
                if line != shown:
                    self._progress(line, last=done >= total)
                    shown = line
                if done >= total:
                    return
            time.sleep(_POLL_SECONDS)

    def _progress(self, line: str, *, last: bool) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}", ending="\n" if last else "")
            self.stdout.flush()
        else:
            self._say(line)

    def _ready(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=10) as response:  # noqa: S310
                return json.load(response)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            return json.load(error) if error.code == 503 else None
        except (OSError, ValueError):
            return None

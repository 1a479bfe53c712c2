"""Prepare the data folder, database, static files and administrator before the start."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
from importlib.metadata import distributions
from pathlib import Path
from typing import IO

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

ADMIN = "admin"


def take_data_folder(address: str) -> IO[str]:
    """Lock the data folder for this process; return the open lock file.

    Raises `CommandError` when another process uses the same data.
    """
    lock = (Path(settings.DATA_DIR) / "serve.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        try:
            running = json.loads(lock.read())
            where = f" at {running['address']} (process {running['process']})"
        except (ValueError, KeyError):
            where = ""
        raise CommandError(
            f"Lookalike is running already on this data{where}. Stop it first, or set "
            "LOOKALIKE_DATA_DIR and PORT for a second installation."
        ) from None
    lock.truncate(0)
    lock.write(json.dumps({"process": os.getpid(), "address": address}))
    lock.flush()
    return lock


def check_port() -> None:
    """Raises `CommandError` when the port is in use by another program or not permitted."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Lookalike cannot listen on HOST {settings.HOST}, PORT {settings.PORT}: "
                f"{error.strerror}. Set PORT or HOST to another one."
            ) from None


def prepare_database() -> None:
    call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> None:
    """Collect static files if they have changed since they were last collected."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    digest = _static_digest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(settings.STATIC_ROOT, ignore_errors=True)
    # These packages contain megabytes of files for pages that are not served.
    unused = ["redoc", "rest_framework"]
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=unused)
    stamp.write_text(digest)


def _static_digest() -> str:
    digest = hashlib.sha256()
    for name, version in sorted((d.metadata["Name"], d.version) for d in distributions()):
        digest.update(f"{name}={version}\n".encode())
    for folder in settings.STATICFILES_DIRS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def prepare_administrator() -> str:
    """Create the administrator at the first start; return a text about their password."""
    users = get_user_model().objects
    admin = users.filter(username=ADMIN).first()
    password_file = Path(settings.DATA_DIR) / "admin-password"
    configured_password: str | None = settings.ADMIN_PASSWORD
    if configured_password is not None:
        if admin is None:
            users.create_superuser(ADMIN, password=configured_password)
        elif not admin.check_password(configured_password):
            admin.set_password(configured_password)
            admin.save()
        password_file.unlink(missing_ok=True)
        return "the one in LOOKALIKE_ADMIN_PASSWORD"
    if admin is None:
        password = secrets.token_urlsafe(12)
        with open(
            os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:
            file.write(password + "\n")
        users.create_superuser(ADMIN, password=password)
        return f"{password}   (also in {password_file}; change it under /admin/)"
    if password_file.is_file() and admin.check_password(password_file.read_text().strip()):
        return f"the one in {password_file}"
    password_file.unlink(missing_ok=True)
    return "the one that you chose (manage.py changepassword admin sets another)"

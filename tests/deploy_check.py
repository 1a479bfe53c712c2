"""`manage.py check --deploy` and `makemigrations --check`, on production settings."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile

from harness.installation import ROOT, clean_environment


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        environment = clean_environment(
            LOOKALIKE_MODE="production",
            SECRET_KEY=secrets.token_urlsafe(64),
            ALLOWED_HOSTS="lookalike.example",
            LOOKALIKE_DATA_DIR=folder,
        )
        for arguments in (
            ["check", "--deploy", "--fail-level", "WARNING"],
            ["makemigrations", "--check", "--dry-run"],
        ):
            command = [sys.executable, "manage.py", *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment)
            if done.returncode:
                sys.exit(done.returncode)


if __name__ == "__main__":
    main()

"""Find nginx for the tests of proxies, or install it: `python -m harness.nginx`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from harness.chromium import apt


def find_nginx() -> str | None:
    """Return the path of an installed nginx, which Debian keeps out of users' paths."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def main() -> None:
    if find_nginx() is None and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        print("Installing nginx for the tests of proxies …", flush=True)
        apt("update")
        apt("install", "-y", "--no-install-recommends", "nginx-light")
    if find_nginx() is None:
        sys.exit("The tests of proxies need nginx; on Debian: apt-get install nginx-light.")
    print(f"Proxy: {find_nginx()}")


if __name__ == "__main__":
    main()

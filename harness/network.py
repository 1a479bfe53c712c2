"""The network of a process in a namespace of its own (`unshare -rn`), on Linux."""

from __future__ import annotations

import fcntl
import socket
import struct

_SET_FLAGS = 0x8914  # SIOCSIFFLAGS
_UP_AND_RUNNING = 0x1 | 0x40  # IFF_UP | IFF_RUNNING


def raise_loopback() -> None:
    """Bring up the loopback interface, which is down in a new network namespace.

    Raises `OSError` when the process may not change its network.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _UP_AND_RUNNING))

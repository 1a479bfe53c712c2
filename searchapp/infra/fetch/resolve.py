"""Resolve a target to the IP addresses that may be connected to."""

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from searchapp.infra.fetch.deadline import Deadline, timed_out
from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.networks import IPAddress, is_public
from searchapp.infra.fetch.policy import FetchPolicy
from searchapp.infra.fetch.target import Target

# Maps a host name to its IP addresses as text, best first. Raises `OSError` when it has none.
Resolver = Callable[[str], Sequence[str]]

# The number of addresses of one host that are tried.
MAX_ADDRESSES = 4

# Names that never belong to the public internet. They are refused before they are resolved, so that
# the response does not reveal whether they exist in the local network.
_LOCAL_NAMES = frozenset({"localhost", "local", "internal", "intranet", "lan", "home", "corp"})
_LOCAL_SUFFIX = ".home.arpa"


def system_resolver(host: str) -> Sequence[str]:
    """Resolve `host` with the operating system's resolver."""
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


def permitted_addresses(
    target: Target, policy: FetchPolicy, resolver: Resolver, deadline: Deadline
) -> list[IPAddress]:
    """Return the addresses to connect to for `target`, best first; resolves the name exactly once.

    One forbidden address is enough to refuse all: a name with a public and a private address is
    either misconfigured or an attempt to reach the private one.

    Raises `FetchError`, code `port_not_allowed`, `address_not_allowed`, `host_not_found` or
    `fetch_timeout`, when there are no permitted ones.
    """
    excepted = policy.excepts(target)
    if not excepted:
        if target.port not in policy.allowed_ports:
            ports = ", ".join(str(port) for port in sorted(policy.allowed_ports))
            raise FetchError(
                "port_not_allowed",
                f"Pictures are fetched from these ports only: {ports}.",
            )
        if target.address is None and _is_local_name(target.host):
            raise _not_allowed()
    if target.address is not None:
        addresses: list[IPAddress] = [target.address]
    else:
        addresses = _look_up(target.host, resolver, deadline)
    if not excepted and not all(is_public(address) for address in addresses):
        raise _not_allowed()
    return addresses[:MAX_ADDRESSES]


def _is_local_name(host: str) -> bool:
    last = host.rpartition(".")[2]
    return last == host or last in _LOCAL_NAMES or host.endswith(_LOCAL_SUFFIX)


def _look_up(host: str, resolver: Resolver, deadline: Deadline) -> list[IPAddress]:
    """Call `resolver` in a thread, because the system's resolver has no time limit."""
    answers: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # raised by Python's codec for a name that it cannot encode
            answers.put(OSError(str(error)))

    threading.Thread(target=ask, name="fetch-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except queue.Empty:
        raise timed_out() from None
    if isinstance(answer, OSError):
        again = isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN
        raise _not_found(retryable=again) from answer
    addresses = [ip_address(text) for text in dict.fromkeys(answer)]
    if not addresses:
        raise _not_found(retryable=False)
    return addresses


def _not_found(*, retryable: bool) -> FetchError:
    return FetchError(
        "host_not_found",
        "No host with this name was found. Check the spelling of the address.",
        retryable=retryable,
    )


def _not_allowed() -> FetchError:
    return FetchError(
        "address_not_allowed",
        "This address leads to a place that is not on the public internet. Only pictures that "
        "anyone on the internet can see are fetched; upload this one from your device instead.",
    )

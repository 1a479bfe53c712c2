"""The policy for fetching: allowed hosts and ports, limits of size and time."""

from dataclasses import dataclass, field

from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.target import Target, canonical_host, split_host_port


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """The rules for one fetch.

    `allowed_ports` are the ports that may be connected to. `allowed_hosts` lists exceptions to the
    rules for addresses and ports, as `host` or `host:port` (`[v6]:port` for IPv6). An entry
    without a port allows all ports of that host. It applies to that host only: a redirect to
    another host is checked like any other address.

    `max_bytes` limits the body, `timeout` (seconds) the whole fetch, and `max_redirects` the
    number of redirects.

    Raises `ValueError`, with a message for people, when a value is invalid.
    """

    allowed_ports: tuple[int, ...] = (80, 443)
    allowed_hosts: tuple[str, ...] = ()
    max_bytes: int = 50_000_000
    timeout: float = 10.0
    max_redirects: int = 5
    _exceptions: frozenset[tuple[str, int | None]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for port in self.allowed_ports:
            if not 1 <= port <= 65535:
                raise ValueError(f"allowed_ports has {port}; a port is a number from 1 to 65535.")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}; it has to be 1 or more.")
        if not 0 < self.timeout <= 3600:
            raise ValueError(f"timeout is {self.timeout}; it has to be above 0, at most 3600 s.")
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects is {self.max_redirects}; it has to be 0 or more.")
        exceptions = frozenset(_parse_exception(entry) for entry in self.allowed_hosts)
        object.__setattr__(self, "_exceptions", exceptions)

    @classmethod
    def from_settings(cls) -> "FetchPolicy":
        """Return the policy of this installation, read from Django's settings at each call."""
        from django.conf import settings

        return cls(
            allowed_ports=tuple(settings.FETCH_ALLOWED_PORTS),
            allowed_hosts=tuple(settings.FETCH_ALLOWED_HOSTS),
            max_bytes=settings.MAX_UPLOAD_BYTES,
            timeout=settings.FETCH_TIMEOUT,
            max_redirects=settings.FETCH_MAX_REDIRECTS,
        )

    def excepts(self, target: Target) -> bool:
        """Whether `target` is one of the `allowed_hosts`."""
        entries = {(target.host, None), (target.host, target.port)}
        return not entries.isdisjoint(self._exceptions)


def _parse_exception(entry: str) -> tuple[str, int | None]:
    try:
        bare_ipv6 = entry.count(":") > 1 and not entry.startswith("[")
        name, port = split_host_port(f"[{entry}]" if bare_ipv6 else entry)
        host, _ = canonical_host(name)
    except (ValueError, FetchError) as error:
        raise ValueError(
            f"allowed_hosts has {entry!r}; an entry is 'host' or 'host:port', "
            "for example 'pictures.lan:8080'."
        ) from error
    return host, port

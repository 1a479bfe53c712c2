"""The policy of fetching: allowed hosts, sizes and times."""

from dataclasses import dataclass, field

from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.target import Target, canonical_host, split_host_port


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """The rules for one fetch.

    ``allowed_ports`` are the ports that may be connected to. ``allowed_hosts`` lists ``host`` or
    ``host:port`` (``[v6]:port`` for IPv6) that may be fetched from in spite of the rules for
    addresses and ports; an entry without a port stands for each port of that host. It speaks for
    that host alone: a redirect from there to elsewhere is judged like any other.

    ``max_bytes`` bounds the body, ``timeout`` (seconds) everything together, ``max_redirects`` the
    redirects followed.

    Raises ``ValueError`` with a sentence for a value that cannot be meant.
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
        """The policy of this installation, read from Django's settings at each call."""
        from django.conf import settings

        return cls(
            allowed_ports=tuple(settings.FETCH_ALLOWED_PORTS),
            allowed_hosts=tuple(settings.FETCH_ALLOWED_HOSTS),
            max_bytes=settings.MAX_UPLOAD_BYTES,
            timeout=settings.FETCH_TIMEOUT,
            max_redirects=settings.FETCH_MAX_REDIRECTS,
        )

    def excepts(self, target: Target) -> bool:
        """Whether ``target`` is on the list of hosts that are allowed in spite of the rules."""
        wanted = {(target.host, None), (target.host, target.port)}
        return not wanted.isdisjoint(self._exceptions)


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

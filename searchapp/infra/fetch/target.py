"""Parse the address that a user entered into an unambiguous scheme, host, port and path.

URL parsers disagree in edge cases. An attacker can exploit this to pass a check with one host and
make the server connect to another. This module rejects or rewrites the forms on which parsers
disagree. All other code uses `Target` and never the original text.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin, urlsplit

import idna

from searchapp.infra.fetch.errors import FetchError

MAX_URL_LENGTH = 4096
DEFAULT_PORTS = {"http": 80, "https": 443}

# A space is escaped in a path, as browsers do, and rejected in a host.
_MISREAD = re.compile(r"[\x00-\x1f\x7f-\xa0\\]")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::([0-9]{0,5}))?")
_PLAIN = re.compile(r"([^:\[\]]+)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
# Characters that are not escaped in a path or query; '%' because it starts an escape.
_SAFE = "/%:=&?~+!$,;'@()*[]|"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address; `host` is a lower-case ASCII name or a canonical IP address.

    `address` is set when the host is an IP address, so that no name has to be resolved. `path`
    contains path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: IPv4Address | IPv6Address | None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = bracketed(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The canonical address, without the fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def follow(self, location: str) -> "Target":
        """Return the target of a redirect. Raises `FetchError` when `parse_target` does."""
        _refuse_controls(location)
        try:
            joined = urljoin(self.url, location)
        except ValueError as error:
            raise _invalid("It is not a complete address.") from error
        return parse_target(joined)


def parse_target(url: str) -> Target:
    """Parse the address of an image.

    Raises `FetchError`, code `address_invalid`, `scheme_not_allowed` or `credentials_not_allowed`,
    when it is not an acceptable one.
    """
    url = url.strip(" \t\r\n")
    if not url:
        raise _invalid("It is empty.")
    if len(url) > MAX_URL_LENGTH:
        raise _invalid(f"It is longer than {MAX_URL_LENGTH} characters.")
    _refuse_controls(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _invalid("The name of the host cannot be read.") from error
    if parts.scheme not in DEFAULT_PORTS:
        if not parts.scheme:
            raise _invalid("It does not begin with https:// or http://.")
        raise FetchError(
            "scheme_not_allowed",
            "Only addresses that begin with https:// or http:// can be fetched.",
        )
    if "@" in parts.netloc:
        raise FetchError(
            "credentials_not_allowed",
            "The address contains a user name or password. Give the address of a picture that "
            "can be seen without signing in.",
        )
    name, port = _split_authority(parts.netloc)
    host, address = canonical_host(name)
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=quote(path, safe=_SAFE),
        address=address,
    )


def canonical_host(name: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    """Return the canonical spelling of a host, and its IP address if it is one.

    `name` has no port; an IPv6 address may have brackets. Numbers are read as the system's
    resolver and browsers read them (decimal, octal, hexadecimal, fewer than four parts), so that
    no spelling of 127.0.0.1 looks like a name. Names in other scripts are mapped by UTS 46 and
    encoded by IDNA 2008. One trailing dot is removed.

    Raises `FetchError`, code `address_invalid`, when it is not a valid host.
    """
    if ":" in name or name.startswith("["):
        return _ipv6(name.removeprefix("[").removesuffix("]"))
    host = name.lower()
    if not host.isascii():
        host = _ascii_name(host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(host)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("The name of the host contains characters that no host name has.")
    return host, None


def bracketed(host: str) -> str:
    """Return `host` as it is written in an address: in brackets if it is an IPv6 address."""
    return f"[{host}]" if ":" in host else host


def split_host_port(authority: str) -> tuple[str, int | None]:
    """Split `host`, `host:port`, `[v6]` or `[v6]:port`; the host keeps its brackets.

    Raises `ValueError`, with a message for people, when it has another form.
    """
    match = _BRACKETED.fullmatch(authority)
    name = f"[{match[1]}]" if match else ""
    if match is None:
        match = _PLAIN.fullmatch(authority)
        name = match[1] if match else ""
    if match is None:
        raise ValueError("The host is missing or cannot be read.")
    port = int(match[2]) if match[2] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("The port is not a number from 1 to 65535.")
    return name, port


def _split_authority(authority: str) -> tuple[str, int | None]:
    try:
        return split_host_port(authority)
    except ValueError as error:
        raise _invalid(str(error)) from error


def _ipv6(text: str) -> tuple[str, IPv6Address]:
    if "%" in text:
        raise _invalid("An IPv6 address with a zone belongs to one machine only.")
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise _invalid("The IPv6 address cannot be read.") from error
    return str(address), address


def _ipv4(text: str) -> tuple[str, IPv4Address]:
    try:
        address = IPv4Address(socket.inet_aton(text))
    except OSError as error:
        raise _invalid("An IPv4 address is four numbers from 0 to 255.") from error
    return str(address), address


def _ascii_name(host: str) -> str:
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        # Full-width digits, for example, become ASCII, which may be a number.
        return mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except UnicodeError as error:
        raise _invalid("The name of the host contains characters that no host name has.") from error


def _refuse_controls(text: str) -> None:
    if _MISREAD.search(text):
        raise _invalid("It contains a backslash or an invisible character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid("It contains half of a character.") from error


def _invalid(reason: str) -> FetchError:
    return FetchError(
        "address_invalid",
        f"This is not the address of a picture on the web. {reason} "
        "An address looks like https://example.org/picture.jpg.",
    )

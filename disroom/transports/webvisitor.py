"""Who asks over HTTP: from which address, and led here by which page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

UNIX = "unix"
"""Among the proxies: whoever connects through a unix socket."""

_PORTS = {"http": 80, "https": 443}

Network = IPv4Network | IPv6Network


class Proxies:
    """The proxies that are believed when they say for whom they ask.

    Args:
        written: Addresses and networks, and `UNIX`.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, written: Iterable[str]) -> None:
        self._unix = False
        self._networks: list[Network] = []
        for each in written:
            if each == UNIX:
                self._unix = True
            else:
                self._networks.append(ip_network(each))

    def visitor(self, peer: str | None, forwarded: Sequence[bytes]) -> str | None:
        """The address of whoever asks, None where there is none.

        Args:
            peer: The address of the connection's other end; None for a unix socket.
            forwarded: The ``X-Forwarded-For`` headers, in order. Each proxy has added, at the end,
                whom it was asked by, so they are read from there, and only as far as each that
                added one is believed: what is further to the left anybody could have written.
        """
        if not self.believes(peer):
            return peer
        visitor = peer
        for written in reversed(b",".join(forwarded).split(b",")):
            address = _address(written)
            if address is None:
                break
            visitor = str(address)
            if not self.believes(visitor):
                break
        return visitor

    def believes(self, host: str | None) -> bool:
        """Whether somebody at this address is such a proxy; None for a unix socket."""
        if host is None:
            return self._unix
        address = _address(host.encode())
        return address is not None and any(
            address in network for network in self._networks if network.version == address.version
        )


def _address(written: bytes) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(written.strip().decode("ascii").partition("%")[0])
    except ValueError:  # UnicodeDecodeError is one
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Origins:
    """The pages that may open a WebSocket.

    A browser lets any page open one to anywhere and says in ``Origin`` which page it was; programs
    send none, and may.

    Args:
        written: Origins such as ``https://chat.example.org``; none for pages of ours alone, which
            are those of the same host and port as the request is for. The scheme is left out
            of that: behind a proxy that ends TLS, it is not known here.

    Raises:
        ValueError: One of them is no origin.
    """

    def __init__(self, written: Iterable[str]) -> None:
        self._allowed = {_origin(each) for each in written}
        if None in self._allowed:
            raise ValueError("an origin such as https://chat.example.org was expected")

    def allows(self, origin: bytes | None, host: bytes | None) -> bool:
        """Whether a handshake with these headers may be answered."""
        if origin is None:
            return True
        parsed = _origin(origin.decode("latin-1"))
        if parsed is None:
            return False
        if self._allowed:
            return parsed in self._allowed
        scheme, authority = parsed
        own = _origin(f"{scheme}://{(host or b'').decode('latin-1')}")
        return own is not None and own[1] == authority


def _origin(written: str) -> tuple[str, tuple[str, int]] | None:
    """Scheme, host and port; None for what is no origin, ``null`` for one."""
    try:
        parts: SplitResult = urlsplit(written.lower())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if port is None or not parts.hostname or not bare:
        return None
    return parts.scheme, (parts.hostname, port)

"""Where an instance listens, by its configuration: Twisted's server endpoint strings."""

from __future__ import annotations

import re

from disroom.config import Config, ConfigError

ADMIN_INTERFACE = "127.0.0.1"
"""Where the admin pages are unless it is said."""

_ENDPOINT = re.compile(r"(tcp|tcp6|tls|ssl|unix|systemd|haproxy|fd):")

_HOST_PORT = re.compile(
    r"(?:(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]*)):)?(?P<port>[0-9]{1,5})"
)


def client_endpoints(config: Config) -> list[tuple[str, bool]]:
    """Where clients connect, but for the page; each with whether those there are telnet."""
    server = config.server
    plain = [_tcp(config.port, server.interface)] if config.port is not None else []
    telnet = [_tcp(server.telnet, server.interface)] if server.telnet is not None else []
    return [(e, False) for e in [*plain, *server.listen]] + [(e, True) for e in telnet]


def admin_endpoint(address: str) -> str:
    """The endpoint string of ``--admin``; a port alone is on loopback.

    Raises:
        ConfigError: It is no ``PORT``, ``HOST:PORT`` or endpoint string.
    """
    return _endpoint("--admin", address, ADMIN_INTERFACE)


def web_endpoint(config: Config) -> str:
    """The endpoint string of ``--web``; a port alone is where ``--port`` is.

    Raises:
        ConfigError: It is no ``PORT``, ``HOST:PORT`` or endpoint string.
    """
    return _endpoint("--web", config.server.web, config.server.interface)


def is_proxied(endpoint: str) -> bool:
    """Whether a proxy tells where the connections of an endpoint string are from."""
    return endpoint.startswith("haproxy:")


def plain_ports(config: Config) -> list[tuple[str, str, int]]:
    """Where the instance listens by mere ports: the option, the interface (empty: any), the port.

    Raises:
        ConfigError: An option is no ``PORT``, ``HOST:PORT`` or endpoint string.
    """
    server = config.server
    found = [
        (option, server.interface, port)
        for option, port in (("--port", config.port), ("--telnet", server.telnet))
        if port is not None
    ]
    for option, address, interface in (
        ("--web", server.web, server.interface),
        ("--admin", server.admin, ADMIN_INTERFACE),
    ):
        if address and not _ENDPOINT.match(address):
            found.append((option, *_place(option, address, interface)))
    return found


def _endpoint(option: str, address: str, interface: str) -> str:
    if _ENDPOINT.match(address):
        return address
    host, port = _place(option, address, interface)
    return _tcp(port, host)


def _place(option: str, address: str, interface: str) -> tuple[str, int]:
    parts = _HOST_PORT.fullmatch(address)
    if not parts or int(parts["port"]) > 65535:
        raise ConfigError(f"{option}: PORT, HOST:PORT or an endpoint was expected, not {address!r}")
    return parts["v6"] or parts["host"] or interface, int(parts["port"])


def _tcp(port: int, interface: str) -> str:
    kind = "tcp6" if ":" in interface else "tcp"
    escaped = interface.replace(":", r"\:")
    return f"{kind}:{port}:interface={escaped}" if interface else f"{kind}:{port}"

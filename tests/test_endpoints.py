"""Where an instance listens."""

from __future__ import annotations

import pytest

from disroom.config import ConfigError, load
from disroom.endpoints import admin_endpoint, client_endpoints, web_endpoint


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("tcp:8080", False)]),
        ({"port": 0}, [("tcp:0", False)]),
        ({"port": 80, "interface": "127.0.0.1"}, [("tcp:80:interface=127.0.0.1", False)]),
        ({"port": 80, "interface": "::"}, [(r"tcp6:80:interface=\:\:", False)]),
        ({"telnet": 23}, [("tcp:23", True)]),
        ({"listen": ["unix:/a", "ssl:1"]}, [("unix:/a", False), ("ssl:1", False)]),
        (
            {"port": 80, "telnet": 23, "listen": ["unix:/a"]},
            [("tcp:80", False), ("unix:/a", False), ("tcp:23", True)],
        ),
    ],
)
def test_places_to_listen_on(options: dict[str, object], expected: list[tuple[str, bool]]) -> None:
    """Port 8080 is the default; any listener that is given takes its place."""
    config = load(options={f"server.{key}": value for key, value in options.items()})
    assert client_endpoints(config) == expected


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("8079", "tcp:8079:interface=127.0.0.1"),
        ("0", "tcp:0:interface=127.0.0.1"),
        (":8079", "tcp:8079:interface=127.0.0.1"),
        ("0.0.0.0:8079", "tcp:8079:interface=0.0.0.0"),
        ("localhost:8079", "tcp:8079:interface=localhost"),
        ("[::1]:8079", r"tcp6:8079:interface=\:\:1"),
        ("tcp:8079", "tcp:8079"),
        ("unix:/run/admin.sock", "unix:/run/admin.sock"),
        ("systemd:domain=INET:index=1", "systemd:domain=INET:index=1"),
    ],
)
def test_where_the_admin_pages_are(address: str, endpoint: str) -> None:
    """A port alone is for this machine; hosts, IPv6 addresses and endpoints are taken as well."""
    assert admin_endpoint(address) == endpoint


@pytest.mark.parametrize(
    ("address", "interface", "endpoint"),
    [
        ("8081", "", "tcp:8081"),
        ("8081", "::", r"tcp6:8081:interface=\:\:"),
        ("127.0.0.1:8081", "192.0.2.1", "tcp:8081:interface=127.0.0.1"),
        ("ssl:443:privateKey=a:certKey=b", "", "ssl:443:privateKey=a:certKey=b"),
    ],
)
def test_where_the_web_page_is(address: str, interface: str, endpoint: str) -> None:
    """A port alone is for whoever the other ports are for."""
    config = load(options={"server.web": address, "server.interface": interface})
    assert web_endpoint(config) == endpoint


@pytest.mark.parametrize("address", ["", "x", "::1", "1:2:3", "[::1]", "localhost", "65536", "-1"])
def test_where_they_cannot_be(address: str) -> None:
    """Anything else is refused, and not guessed at."""
    with pytest.raises(ConfigError, match="PORT, HOST:PORT or an endpoint was expected"):
        admin_endpoint(address)

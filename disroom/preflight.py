"""What can be checked before the service starts, and before twistd becomes a daemon.

A daemon's parent has exited with status 0 before anything asynchronous begins, so whatever is
plainly wrong has to be found here, synchronously, to be reported where the operator looks.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from disroom.brokers import BrokerError, check_state_dir
from disroom.config import Config, ConfigError

CONNECT_SECONDS = 3.0
"""How long a broker may take to accept a connection, for each of its addresses."""

_NATS_PORT = 4222
_REDIS_PORT = 6379


def check(config: Config) -> None:
    """Look at everything that needs no reactor.

    Raises:
        ConfigError: Something is in the way; the message is one line and says what to do.
    """
    for path in (config.server.motd, config.nats.ca, config.nats.credentials, config.redis.ca):
        if path:
            _check_readable(path)
    try:
        ZoneInfo(config.server.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"server.timezone: there is no {config.server.timezone!r}") from error
    if config.embedded:
        try:
            check_state_dir(config.state_dir)
        except BrokerError as error:
            raise ConfigError(str(error)) from error
    else:
        _check_reachable("NATS", "--nats", [_nats_address(url) for url in config.nats.url])
        _check_reachable("Redis", "--redis", [_redis_address(config.redis.url)])
    for option, port in (("--port", config.port), ("--telnet", config.server.telnet)):
        if port:
            _check_free(option, config.server.interface, port)


def _check_readable(path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _check_free(option: str, interface: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {port}: {error.strerror}; choose another {option}"
            ) from error


def _nats_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    if parts.scheme not in ("nats", "tls") or not parts.hostname:
        raise ConfigError(f"--nats: not a nats:// or tls:// URL: {_without_secrets(url)}")
    return parts.hostname, _port(url, "--nats") or _NATS_PORT


def _redis_address(url: str) -> tuple[str, int] | str:
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return parts.path
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        shown = _without_secrets(url)
        raise ConfigError(f"--redis: not a redis://, rediss:// or unix:// URL: {shown}")
    return parts.hostname, _port(url, "--redis") or _REDIS_PORT


def _port(url: str, option: str) -> int | None:
    try:
        return urlsplit(url if "://" in url else f"nats://{url}").port
    except ValueError as error:
        raise ConfigError(f"{option}: the port must be a number up to 65535") from error


def _without_secrets(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


def _check_reachable(broker: str, option: str, addresses: Iterable[tuple[str, int] | str]) -> None:
    """Connect to one of the addresses."""
    reasons = []
    for address in addresses:
        shown = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        try:
            if isinstance(address, str):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(CONNECT_SECONDS)
                    probe.connect(address)
            else:
                socket.create_connection(address, CONNECT_SECONDS).close()
        except OSError as error:
            reasons.append(f"{shown} ({error.strerror or error})")
        else:
            return
    raise ConfigError(
        f"cannot reach {broker} at {', '.join(reasons)}: start it, or correct {option}"
    )

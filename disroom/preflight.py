"""What can be checked before the service starts, and before twistd becomes a daemon.

A daemon's parent has exited with status 0 before anything asynchronous begins, so whatever is
plainly wrong has to be found here, synchronously, to be reported where the operator looks.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from disroom.adapters.redis.address import RedisAddress, RedisSentinels, is_sentinel_url
from disroom.brokers import BrokerError, check_state_dir
from disroom.chat.text import clean
from disroom.config import Config, ConfigError
from disroom.endpoints import plain_ports
from disroom.settings import most_connections

CONNECT_SECONDS = 3.0
"""How long a broker may take to accept a connection, for each of its addresses."""

SHORTEST_LEASE = 2.0
SHORTEST_SETTLE = 0.1

_NATS_PORT = 4222
_NATS_KINDS = "nats:// or tls://"
_REDIS_KINDS = "redis://, rediss://, unix:// or sentinel://"


def check(config: Config) -> None:
    """Look at everything that needs no reactor.

    Raises:
        ConfigError: Something is in the way; the message is one line and says what to do.
    """
    most_connections(config)
    nats, redis = config.nats, config.redis
    files = (nats.credentials, nats.nkey, nats.ca, nats.cert, nats.key)
    for path in (config.server.motd, *files, redis.ca, redis.cert, redis.key):
        if path:
            _check_readable(path)
    try:
        ZoneInfo(config.server.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"server.timezone: there is no {config.server.timezone!r}") from error
    if clean(config.server.instance_name) != config.server.instance_name:
        raise ConfigError("--instance-name: it has characters that cannot be shown to people")
    if config.presence.lease < SHORTEST_LEASE:
        raise ConfigError(
            f"presence.lease: at least {SHORTEST_LEASE:g}s; it is renewed each second"
        )
    if config.presence.settle < SHORTEST_SETTLE:
        raise ConfigError(
            f"presence.settle: at least {SHORTEST_SETTLE:g}s; users are put back in it"
        )
    for option, endpoint in [
        *(("--listen", each) for each in config.server.listen),
        ("--web", config.server.web),
    ]:
        _check_certificates(option, endpoint)
    if config.embedded:
        try:
            check_state_dir(config.state_dir)
        except BrokerError as error:
            raise ConfigError(str(error)) from error
    else:
        nats_at = [_nats_address(url) for url in nats.url]
        redis_at = _redis_addresses(redis.url)
        _check_reachable("NATS", "--nats", nats_at)
        _check_reachable("Redis", "--redis", redis_at)
    for option, interface, port in plain_ports(config):
        moves = option != "--admin" and interface == config.server.interface != ""
        _check_free(interface, port, f"{option} or --interface" if moves else option)


def _check_readable(path: str) -> None:
    try:
        with Path(path).open("rb") as opened:
            opened.read(1)  # a directory can be opened
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _check_certificates(option: str, endpoint: str) -> None:
    """Refuse what Twisted would take: ``tls:8443`` is port 443, with certificates in ``./8443``."""
    kind, _, rest = endpoint.removeprefix("haproxy:").partition(":")
    if kind == "tls" and not Path(rest.partition(":")[0]).is_dir():
        raise ConfigError(
            f"{option}: {endpoint!r} names no directory, as tls:DIRECTORY:port=PORT does; "
            "with two files it is ssl:PORT:privateKey=FILE:certKey=FILE"
        )


def _check_free(interface: str, port: int, choice: str) -> None:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except (OSError, TypeError) as error:  # the latter where DNS has no such name
            reason = error.strerror if isinstance(error, OSError) else "not the name of a host"
            raise ConfigError(
                f"cannot listen on {interface or 'any address'}, port {port}: {reason}; "
                f"choose another {choice}"
            ) from error


def _nats_address(url: str) -> tuple[str, int]:
    parts = _split("nats", _NATS_KINDS, url if "://" in url else f"nats://{url}")
    if parts.scheme not in ("nats", "tls") or not parts.hostname:
        raise _no_url("nats", _NATS_KINDS, url)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"--nats: {_shown(url)}: there is nothing to say after the host and port")
    return parts.hostname, parts.port or _NATS_PORT


def _redis_addresses(url: str) -> Sequence[tuple[str, int] | str]:
    """Where to look; of Sentinels one is enough, and where Redis itself is they say later."""
    if not is_sentinel_url(url):
        parts = _split("redis", _REDIS_KINDS, url)
        unix = parts.scheme == "unix" and parts.path
        if not unix and (parts.scheme not in ("redis", "rediss") or not parts.hostname):
            raise _no_url("redis", _REDIS_KINDS, url)
    try:
        if is_sentinel_url(url):
            return [(each.host, each.port) for each in RedisSentinels.parse(url).addresses]
        address = RedisAddress.parse(url)
    except ValueError as error:
        raise ConfigError(f"--redis: {error}") from None
    return [address.path or (address.host, address.port)]


def _split(option: str, kinds: str, url: str) -> SplitResult:
    """Take a URL apart, with a port that is one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _no_url(option, kinds, url) from None
    # A password with a `/`, `?` or `#` ends the host's part, and would be taken for the host.
    if parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        raise _no_url(option, kinds, url)
    try:
        parts.port  # noqa: B018 - raises where it is no number up to 65535
    except ValueError:
        port = "the port must be a number up to 65535"
        raise ConfigError(f"--{option}: {_shown(url)}: {port}") from None
    return parts


def _no_url(option: str, kinds: str, url: str) -> ConfigError:
    """Show the URL without what may be a password, whatever is wrong with it."""
    reason = f"--{option}: not a {kinds} URL: {_shown(url)}"
    if "@" in url:
        apart = f"give that apart, as DISROOM_{option.upper()}_PASSWORD"
        reason += f" (if it is for the password, {apart})"
    return ConfigError(reason)


def _shown(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme = re.match("[a-z+]+://", head)
    return f"{scheme[0] if scheme else ''}...@{tail}" if at else url


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
        except UnicodeError:  # a label that is empty, or longer than DNS takes
            reasons.append(f"{shown} (not the name of a host)")
        else:
            return
    raise ConfigError(
        f"cannot reach {broker} at {', '.join(reasons)}: start it, or correct {option}"
    )

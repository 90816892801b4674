"""Where the instance listens, and that it stops listening before anything else stops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import fsdecode
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import TimeoutError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger

from disroom.transports.connections import Connections

BACKLOG = 4096
"""Connections that wait to be accepted, as when all of a dead instance's users come at once.

Beyond it Linux lets a client believe that it is connected, and it waits for its greeting until an
attempt of the kernel's finds a place, or for ever: some of 10,000 at once with a backlog of 1024.
More than net.core.somaxconn, by default 4096, is cut down to that."""

_HAS_BACKLOG = re.compile(r"(haproxy:)?(tcp6?|ssl|unix):")

GOODBYE_SECONDS = 1.0
"""How long clients may take to read their goodbye."""


class ListenError(Exception):
    """An address cannot be listened on; the message is one line."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint and what serves its connections; ``name`` is for the log."""

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory


def parse_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """Read one of Twisted's server endpoint strings; one without a backlog gets ours.

    Raises:
        ListenError: It is none, or names something, such as a certificate, that cannot be used.
    """
    queued = "" if "backlog=" in text or not _HAS_BACKLOG.match(text) else f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text + queued)
    except Exception as error:  # each kind of endpoint raises what it likes
        raise ListenError(f"{text!r} is no Twisted server endpoint: {error}") from error
    return endpoint


async def listen(listener: Listener) -> IListeningPort:
    """Listen on an endpoint.

    Raises:
        ListenError: It cannot be listened on.
    """
    try:
        port: IListeningPort = await listener.endpoint.listen(listener.factory)
    except Exception as error:  # each kind of endpoint raises what it likes
        reason: Any = error.socketError if isinstance(error, CannotListenError) else error
        reason = getattr(reason, "strerror", None) or reason
        if reason == "Cannot acquire lock":  # Twisted's, of a unix socket
            reason = "another process listens there"
        raise ListenError(f"cannot listen on {listener.name}: {reason}") from error
    return port


class Listeners:
    """All listening ports for clients.

    Args:
        connections: What comes in through them.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, listeners: Sequence[Listener], connections: Connections
    ) -> None:
        self._reactor = reactor
        self._listeners = listeners
        self._connections = connections
        self._ports: list[IListeningPort] = []

    async def start(self) -> None:
        """Listen on every endpoint.

        Raises:
            ListenError: One of them cannot be listened on.
        """
        for listener in self._listeners:
            port = await listen(listener)
            self._ports.append(port)
            self._log.info("Listening on {address}", address=shown(port.getHost()))

    async def stop(self) -> None:
        """Listen no more, say goodbye to everybody and wait until that is read, within a second."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await farewell(self._connections, self._reactor)


async def farewell(connections: Connections, reactor: Any) -> None:
    """Say goodbye to everybody and wait until that is read, `GOODBYE_SECONDS` at the most."""
    connections.close_all()
    with suppress(TimeoutError):
        await connections.all_gone().addTimeout(GOODBYE_SECONDS, reactor)


def shown(address: IAddress) -> str:
    """Write an address as the log has it."""
    if isinstance(address, UNIXAddress):
        return f"unix:{fsdecode(address.name or b'')}"
    if isinstance(address, IPv6Address):
        return f"tcp:[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"tcp:{address.host}:{address.port}"
    return str(address)

"""What every client's socket is set to."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport, ITCPTransport
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import alsoProvides

KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a vanished host is noticed after 50 s."""

USER_TIMEOUT_MILLISECONDS = 50_000
"""The same for one that vanished while something was on its way to it (RFC 5482)."""

READ_BYTES = 16384
"""What is read of one client before the next has its turn: of telnet commands, which cost the most
of all there is to send, it takes 10 ms. Beyond as much that is not sent yet, a client is slow."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)


def tune(transport: Any) -> None:
    """Set a connection up."""
    if isinstance(transport, Connection):
        transport.bufferSize = READ_BYTES
    _pass_half_close_on(transport)
    is_tcp = ITCPTransport.providedBy(transport)
    if not is_tcp:
        return
    transport.setTcpNoDelay(True)  # without it a round trip takes 44 ms: Nagle and delayed ACKs
    transport.setTcpKeepAlive(True)
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket) or not is_internet(handle):
        return  # TLS in memory, or a unix socket that passes for TCP
    # Telnet's SYNCH is urgent; out of line, its data mark would turn up by itself.
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        timeout = USER_TIMEOUT_MILLISECONDS
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)


def _pass_half_close_on(transport: Any) -> None:
    """Have a wrapper, as of the PROXY protocol, tell what it wraps that the client half-closed.

    Twisted's takes it for the end of the connection. So does its TLS; see `said_goodbye`.
    """
    if not isinstance(transport, ProtocolWrapper) or ISSLTransport.providedBy(transport):
        return
    wrapped: Any = transport.wrappedProtocol
    if IHalfCloseableProtocol.providedBy(wrapped):
        wrapper: Any = transport
        wrapper.readConnectionLost = wrapped.readConnectionLost
        wrapper.writeConnectionLost = wrapped.writeConnectionLost
        alsoProvides(wrapper, IHalfCloseableProtocol)


def said_goodbye(transport: Any, reason: Failure) -> bool:
    """Whether a lost TLS connection ended with the client's close_notify (RFC 8446, 6.1).

    Twisted answers that by closing both ways, so it is told as the end of the connection; where a
    connection breaks off, the reason is an error.
    """
    return ISSLTransport.providedBy(transport) and bool(reason.check(ConnectionDone))


def unsent(transport: Any) -> int:
    """The bytes that a connection has taken and the other end has not, as they go over the wire.

    Those in the kernel count, where it tells: it asks for more only once a third of what it buffers
    is free again, which takes a slow client minutes.
    """
    while transport is not None and not isinstance(transport, Connection):
        transport = getattr(transport, "transport", None)  # TLS and the PROXY protocol wrap it
    if transport is None:
        return 0
    buffered = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    try:
        answer = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # ValueError: TLS flushes once more when the socket is gone
        return int(buffered)
    return int(buffered) + int(struct.unpack("i", answer)[0])


def host_of(transport: Any) -> str | None:
    """The IP address at the other end, None where there is none."""
    return getattr(transport.getPeer(), "host", None)


def is_internet(handle: socket.socket) -> bool:
    """Whether the other end has an IP address."""
    return handle.family in _INTERNET

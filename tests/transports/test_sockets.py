"""What a client's socket is set to."""

from __future__ import annotations

import socket
import sys

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from disroom.transports.sockets import host_of, tune
from tests.contract.witness import promise


class Tuned(Protocol):
    """Tunes its connection and tells of it."""

    def __init__(self, made: Deferred[Tuned]) -> None:
        self._made = made

    def connectionMade(self) -> None:
        """Tune."""
        tune(self.transport)
        self._made.callback(self)


@pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's names")
@promise
async def test_a_vanished_host_is_noticed_within_a_minute() -> None:
    """Silence is probed and what is not acknowledged is given up, both before 60 s."""
    made: Deferred[Tuned] = Deferred()
    factory = Factory.forProtocol(lambda: Tuned(made))
    factory.noisy = False
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    client = socket.create_connection(("127.0.0.1", port.getHost().port))
    try:
        transport = (await made).transport
        assert transport is not None
        handle: socket.socket = transport.getHandle()  # type: ignore[attr-defined]  # TCP has one

        def option(name: str) -> int:
            return handle.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option("TCP_NODELAY")
        probes = option("TCP_KEEPINTVL") * option("TCP_KEEPCNT")
        assert option("TCP_KEEPIDLE") + probes < 60
        assert 0 < option("TCP_USER_TIMEOUT") < 60_000
        assert host_of(transport) == "127.0.0.1"
    finally:
        client.close()
        await port.stopListening()

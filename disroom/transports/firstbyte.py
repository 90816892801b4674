"""Lines or frames: what a client of the one port speaks, told by its first byte.

Everybody is greeted in text, since nobody has said anything yet. 0x00 begins a frame and no text:
a program that speaks frames passes over everything before the first 0x00 that it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.transports.client import Client
from disroom.wire.frame import FIRST_BYTE


@implementer(IHalfCloseableProtocol)
class FirstByteProtocol(Protocol):
    """Hands everything on to the protocol that the client turns out to speak.

    Args:
        greeting: Greets, and goes on with every client but those that speak frames. It has the
            client in its attribute ``client``.
        frames: Makes the protocol that goes on with those.
    """

    __slots__ = (
        "_frames",
        "_spoken",
        "connected",
        "transport",
    )

    def __init__(self, greeting: Any, frames: Callable[[Client], IProtocol]) -> None:
        self.transport = None
        self.connected = 0
        self._spoken: Any = greeting
        self._frames: Callable[[Client], IProtocol] | None = frames

    def connectionMade(self) -> None:
        """Greet."""
        self._spoken.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte of all."""
        if self._frames and data:
            frames, self._frames = self._frames, None
            if data[0] == FIRST_BYTE:
                self._spoken = frames(self._spoken.client)
                self._spoken.makeConnection(self.transport)
        self._spoken.dataReceived(data)

    def readConnectionLost(self) -> None:
        """The client has half-closed."""
        self._spoken.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Never asked for; the whole connection follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._spoken.connectionLost(reason)


class FirstByteFactory(ServerFactory):
    """Makes the connections of a listener where both are spoken.

    Args:
        greeting: The factory of the protocol that greets.
        frames: As `FirstByteProtocol` takes it.
    """

    noisy = False

    def __init__(self, greeting: Any, frames: Callable[[Client], IProtocol]) -> None:
        self._greeting = greeting
        self._frames = frames

    def buildProtocol(self, addr: IAddress | None) -> FirstByteProtocol:
        """Make the protocol of a new connection."""
        return FirstByteProtocol(self._greeting.buildProtocol(addr), self._frames)

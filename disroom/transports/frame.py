"""The binary protocol over a connection: frames of MessagePack."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.transports.client import Client
from disroom.transports.intake import LOOK_AHEAD
from disroom.transports.peer import Peer
from disroom.transports.sockets import said_goodbye
from disroom.wire import frame
from disroom.wire.messageformat import MessageFormat, to_messagepack
from disroom.wire.requests import from_messagepack


def frame_format() -> MessageFormat:
    """What encodes for all clients of an instance that speak frames."""
    return MessageFormat(lambda message: frame.encode(to_messagepack(message)))


@implementer(IHalfCloseableProtocol)
class FrameProtocol(Protocol):
    """One connection that speaks frames, from its first byte on.

    Args:
        client: Who connected; it is spoken to in frames from now on.
        format: See `frame_format`.
    """

    def __init__(self, client: Client, format: MessageFormat) -> None:
        self._client = client
        self._decoder = frame.FrameDecoder()
        client.speak(Peer(client, from_messagepack, format), self._take)

    def dataReceived(self, data: bytes) -> None:
        """Put the requests that are complete with this into the lane."""
        if not self._client.may_speak():
            return
        with self._client.gathering:
            for body in self._decoder.feed(data):
                self._client.heard()
                self._client.put(body, last=from_messagepack.may_exit(body))
        if self._decoder.fault:
            self._client.end_with(self._decoder.fault)

    def _take(self, on: bool) -> None:
        self._client.intake.waits(0 if on else LOOK_AHEAD)

    def readConnectionLost(self) -> None:
        """Drop what is there of a frame, and carry out what was asked."""
        self._client.end_input()

    def writeConnectionLost(self) -> None:
        """Never asked for; the whole connection follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so to the client's session, once that has what was sent before a clean end."""
        if said_goodbye(self.transport, reason):
            self.readConnectionLost()
        self._client.lose()

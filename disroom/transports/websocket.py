"""WebSocket: the handshake at one path of the site, and a connection's messages after it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import FORBIDDEN
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from disroom.chat.errors import ChatError
from disroom.countdown import EXCUSED, standstills
from disroom.transports.client import Client
from disroom.transports.intake import LOOK_AHEAD
from disroom.transports.peer import Peer
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.webvisitor import Origins, Proxies
from disroom.wire.errors import (
    BadFrame,
    FrameTooLong,
    GoingDown,
    PingFlood,
    ServerFull,
    TooManyConnections,
)
from disroom.wire.messageformat import MessageFormat, to_json, to_messagepack
from disroom.wire.requests import from_json, from_messagepack
from disroom.wire.websocket import (
    MOST_BYTES,
    VERSION,
    Closed,
    Code,
    HandshakeError,
    Opcode,
    WebSocketDecoder,
    accept,
    close_frame,
    frame,
)

PING_SECONDS = 25.0
"""Of silence, after which a client is asked whether it is there. Proxies close what is silent for
longer: nginx after 60 s."""

PONG_SECONDS = 8.0
"""How long it may take to answer."""

_CODES: dict[type[ChatError], Code] = {
    BadFrame: Code.NOT_UTF8,
    FrameTooLong: Code.TOO_BIG,
    GoingDown: Code.GOING_AWAY,
    ServerFull: Code.TRY_AGAIN_LATER,
    TooManyConnections: Code.TRY_AGAIN_LATER,
}
"""Of what a connection is closed for; of anything else it is POLICY."""


class BadWebSocket(BadFrame):
    """What was sent is no WebSocket, or no message of the client's kind.

    Attributes:
        close_code: What the connection is closed with.
    """

    def __init__(self, closed: Closed) -> None:
        ChatError.__init__(self, f"{closed.fault}; connect again")
        self.close_code = closed.code


class Formats:
    """What encodes for all WebSocket clients of an instance."""

    def __init__(self) -> None:
        self.json = MessageFormat(lambda message: frame(Opcode.TEXT, to_json(message)))
        self.messagepack = MessageFormat(lambda m: frame(Opcode.BINARY, to_messagepack(m)))


class _Speech(Peer):
    """A `Peer` whose last message is followed by a close frame."""

    async def obey(self, item: Any) -> None:
        """Carry out one request, or close where the client does."""
        if isinstance(item, Closed):
            await self._client.drop(close_frame(item.code))
        else:
            await super().obey(item)

    def farewell(self, error: ChatError | None) -> bytes:
        """Encode the last message; see `ISpeech`."""
        return super().farewell(error) + _close(error)


def _end(closed: Closed) -> Closed | ChatError:
    """What is left to carry out where nothing more is read; an error, unless the client closes."""
    if closed.code is Code.TOO_BIG:
        return FrameTooLong(MOST_BYTES)
    return BadWebSocket(closed) if closed.fault else closed


def _close(error: ChatError | None) -> bytes:
    if error is None:
        return close_frame(Code.NORMAL)
    code = _CODES.get(type(error), Code.POLICY)
    if isinstance(error, BadWebSocket):
        code = error.close_code
    return close_frame(code, f"{error.code}: {error.message}")


class WebSocketProtocol(Protocol):
    """One connection, after its handshake.

    The kind of its first message decides what it is spoken to in: JSON in text messages, or
    MessagePack in binary ones.

    Args:
        reception: Of the instance.
        settings: Of the listener.
        formats: Of the instance.
        host: The address of whoever connected, None where there is none.
    """

    transport: Any

    def __init__(
        self, reception: Reception, settings: ClientSettings, formats: Formats, host: str | None
    ) -> None:
        self._reception = reception
        self._settings = settings
        self._formats = formats
        self._host = host
        self._decoder = WebSocketDecoder()
        self._kind: Opcode | None = None
        self._timer: IDelayedCall | None = None
        self._asked = False
        self._heard_at = self._due = 0.0
        self._late = 0

    def connectionMade(self) -> None:
        """Take the client in, or turn it away."""
        self._client = Client(
            self._reception,
            self._settings,
            self.transport,
            lambda client: _Speech(client, from_json, self._formats.json),
            self._take,
            host=lambda: self._host,
            flood=PingFlood,
        )
        if self._client.arrive():
            self._heard_at = self._reception.reactor.seconds()
            self._look_after(PING_SECONDS)

    def dataReceived(self, data: bytes) -> None:
        """Put the requests that are complete with this into the lane, and answer pings."""
        if not self._client.may_speak():
            return
        self._heard_at = self._reception.reactor.seconds()
        self._asked = False
        with self._client.gathering:
            for kind, message in self._decoder.feed(data):
                if self._kind is None:
                    self._decide(kind)
                self._client.heard()
                if kind is not self._kind:
                    why = Closed(Code.UNSUPPORTED, "messages are all text or all binary")
                    self._client.end_with(BadWebSocket(why))
                    return
                requests = from_json if kind is Opcode.TEXT else from_messagepack
                self._client.put(message, last=requests.may_exit(message))
        pongs = self._decoder.take_pongs()
        if pongs:
            self._client.outbox.write_first(pongs)
        if closed := self._decoder.closed:
            self._client.end_with(_end(closed))
        else:
            self._client.intake.took_overhead(self._decoder.take_overhead())

    def _decide(self, kind: Opcode) -> None:
        self._kind = kind
        if kind is Opcode.BINARY:
            speech = _Speech(self._client, from_messagepack, self._formats.messagepack)
            self._client.speak(speech, self._take)

    def _look_after(self, delay: float) -> None:
        reactor = self._reception.reactor
        self._due = reactor.seconds() + delay
        self._timer = reactor.callLater(delay, self._look)

    def _look(self) -> None:
        """Ask a silent client whether it is there, and give one up that does not answer.

        It is asked once more where this instance stood still: its answer may not have been read.
        See `EXCUSED`.
        """
        now = self._reception.reactor.seconds()
        self._late = standstills(self._late, self._due, now)
        silence = now - self._heard_at
        # Whoever is not read, or has much to read yet, cannot answer; TCP watches over those.
        can_answer = not (self._client.intake.held or self._client.outbox.full)
        if self._client.closing:
            return
        if silence < PING_SECONDS:
            delay = PING_SECONDS - silence
        elif self._asked and can_answer and not 0 < self._late <= EXCUSED:
            self.transport.abortConnection()
            return
        else:
            if can_answer:
                self._asked = True
                self._client.outbox.write_first(frame(Opcode.PING, b""))
            delay = PONG_SECONDS
        self._look_after(delay)

    def _take(self, on: bool) -> None:
        self._client.intake.waits(0 if on else LOOK_AHEAD)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so to the client's session."""
        if self._timer and self._timer.active():
            self._timer.cancel()
        self._client.lose()


class WebSocketResource(Resource):
    """Answers handshakes.

    Args:
        reception: Of the instance.
        settings: Of the listener.
        origins: The pages that may come here.
        proxies: Those that are believed when they say for whom they ask.
    """

    isLeaf = True

    def __init__(
        self, reception: Reception, settings: ClientSettings, *, origins: Origins, proxies: Proxies
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._reception = reception
        self._settings = settings
        self._origins = origins
        self._proxies = proxies
        self._formats = Formats()

    def render_HEAD(self, request: Request) -> bytes:
        """Answer as to any request that is no handshake."""
        return self._refuse(request, 400, "a WebSocket handshake was expected")

    def render_GET(self, request: Request) -> bytes | int:
        """Answer a handshake, and let the connection be a WebSocket from then on."""
        headers = request.requestHeaders
        if not self._origins.allows(request.getHeader(b"origin"), request.getHeader(b"host")):
            return self._refuse(request, FORBIDDEN, "pages of other sites cannot come here")
        try:
            accepted = accept(
                upgrade=headers.getRawHeaders(b"upgrade", []),
                connection=headers.getRawHeaders(b"connection", []),
                version=request.getHeader(b"sec-websocket-version") or b"",
                key=request.getHeader(b"sec-websocket-key") or b"",
            )
        except HandshakeError as error:
            return self._refuse(request, error.status, str(error))
        channel: Any = request.channel
        peer = getattr(channel.transport.getPeer(), "host", None)
        forwarded = headers.getRawHeaders(b"x-forwarded-for", [])
        host = self._proxies.visitor(peer, forwarded)
        channel.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )
        protocol = WebSocketProtocol(self._reception, self._settings, self._formats, host)
        channel.upgrade(protocol)
        return NOT_DONE_YET

    @staticmethod
    def _refuse(request: Request, status: int, why: str) -> bytes:
        request.setResponseCode(status, HTTPStatus(status).phrase.encode())  # Twisted has no 426
        if status == 426:
            request.setHeader(b"sec-websocket-version", VERSION)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"{why}\n".encode()

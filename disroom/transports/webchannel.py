"""HTTP connections: counted, bounded, and each able to become a WebSocket."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.web.http import NOT_ALLOWED, HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from disroom.chat.errors import ChatError
from disroom.chat.events import Event
from disroom.chat.interfaces import IMember
from disroom.countdown import Countdown
from disroom.transports.connections import Connections
from disroom.transports.sockets import host_of, tune
from disroom.transports.webvisitor import Proxies
from disroom.wire.errors import ServerFull, TooManyConnections

SILENCE_SECONDS = 15.0
"""How long an HTTP connection may send nothing, before its request and after the answer."""

LAST_SECONDS = 1.0
"""Of these, the last: where the instance stood still, what was sent meanwhile is read in them."""

HTTP_SECONDS = 60.0
"""How long a connection may be HTTP, however slowly it asks or reads; browsers open another."""

HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    b"frame-ancestors 'none'; require-trusted-types-for 'script'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"referrer-policy": b"no-referrer",
    b"server": b"DisRoom",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Of every answer."""

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
    b"Content-Type: text/plain\r\n\r\n%s\n"
)
_NO_BODY = (
    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"A request here has no body.\n"
)


class WebRequest(Request):
    """A request: without a body, and answered with `HEADERS`."""

    def gotLength(self, length: int | None) -> None:
        """Refuse a body before any of it is kept."""
        super().gotLength(0)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if length != 0:
            channel: Any = self.channel
            channel.refuse_body()

    def render(self, resource: Any) -> None:
        """Answer, if it is GET or HEAD."""
        for name, value in HEADERS.items():
            self.setHeader(name, value)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self.method not in (b"GET", b"HEAD"):
            resource = _OTHER_METHOD
        super().render(resource)  # type: ignore[no-untyped-call]  # Twisted's is untyped


class _OtherMethod(Resource):
    """Answers a method that there is nothing for."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Answer 405, with the methods that there are."""
        request.setResponseCode(NOT_ALLOWED)
        request.setHeader(b"allow", b"GET, HEAD")
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Only GET and HEAD are answered here.\n"


_OTHER_METHOD = _OtherMethod()  # type: ignore[no-untyped-call]  # Twisted's is untyped


@implementer(IMember)
class WebChannel(HTTPChannel):
    """One connection: HTTP, until a request turns it into something else.

    It counts as a connection of the instance from the beginning, or idle ones of HTTP would take
    all the descriptors there are; and for its address among the visitors, apart from that address's
    clients: a browser makes half a dozen at once to load the page.
    """

    site: WebSite
    transport: Any
    _upgraded: IProtocol | None = None
    _deadline: Countdown | None = None
    _last: Countdown | None = None
    _located = False
    _refused = False

    def connectionMade(self) -> None:
        """Count the connection in, or turn it away."""
        tune(self.transport)
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        try:
            self.site.connections.admit(self)
            self.site.visitors.admit(self)
        except ServerFull as error:
            self._turn_away(_BUSY % error.message.encode())
            return
        self._deadline = Countdown(HTTP_SECONDS, self.site.clock, self.transport.abortConnection)

    def upgrade(self, upgraded: IProtocol) -> None:
        """Let the connection be another protocol's from now on, which counts it anew."""
        self._end_http()
        self.transport.unregisterProducer()
        self._upgraded = upgraded
        upgraded.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass data on to whichever protocol it is."""
        if self._upgraded:
            self._upgraded.dataReceived(data)
            return
        if self._last:
            self._last.cancel()
            self._last = None
            self.setTimeout(self.timeOut)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if not self._located:
            self._locate()
        if not self._refused:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's is untyped

    def _locate(self) -> None:
        """Count the connection for its address; the PROXY protocol has told that by now."""
        self._located = True
        host = host_of(self.transport)
        if self.site.proxies.believes(host):
            return  # its header tells for whom it asks, and who becomes a client is counted
        try:
            self.site.visitors.locate(self, host)
        except TooManyConnections as error:
            self._refuse(_BUSY % error.message.encode())

    def rawDataReceived(self, data: bytes) -> None:
        """Pass on what came together with the request that upgraded."""
        if self._upgraded:
            self._upgraded.dataReceived(data)
        elif not self._refused:
            super().rawDataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count the connection out."""
        self._end_http()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self._upgraded:
            self._upgraded.connectionLost(reason)

    def _end_http(self) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.site.connections.forget(self)
        self.site.visitors.forget(self)
        for countdown in (self._deadline, self._last):
            if countdown:
                countdown.cancel()

    def timeoutConnection(self) -> None:
        """Close a connection that is silent, without a word in the log: there are always some."""
        self._last = Countdown(LAST_SECONDS, self.site.clock, self.transport.abortConnection)

    def refuse_body(self) -> None:
        """Say that nothing is taken here, and close."""
        self._refuse(_NO_BODY)

    def _turn_away(self, answer: bytes) -> None:
        """Close at once where it can be: see `Client.arrive`, for which there is none yet."""
        if not isinstance(self.transport, Connection) or self.transport.TLS:
            self._refuse(answer)
            return
        self._refused = True
        with suppress(OSError):  # nobody is there to read it
            self.transport.socket.send(answer)
        self.transport.connectionLost(Failure(ConnectionDone()))

    def _refuse(self, answer: bytes) -> None:
        self._refused = True
        self.transport.write(answer)
        self.transport.loseConnection()

    def deliver(self, event: Event) -> None:
        """Nothing: nobody is in a room over HTTP."""

    def close(self, error: ChatError | None) -> None:
        """Close the connection; see `IMember`. Once upgraded it is no longer counted here."""
        self.transport.loseConnection()


class WebSite(Site):
    """Serves resources over `WebChannel`, and logs nothing of it: HTTP/1.1 alone, no HTTP/2.

    Args:
        root: The tree.
        connections: Counts the connections of the instance.
        visitors: Counts those of them that are HTTP.
        proxies: Those that are believed when they say for whom they ask.
        clock: For what waits.
    """

    noisy = False
    displayTracebacks = False
    protocol: Any = WebChannel

    def __init__(
        self,
        root: Resource,
        *,
        connections: Connections,
        visitors: Connections,
        proxies: Proxies,
        clock: IReactorTime,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted's is untyped
            root, requestFactory=WebRequest, timeout=SILENCE_SECONDS - LAST_SECONDS, reactor=clock
        )
        self.connections = connections
        self.visitors = visitors
        self.proxies = proxies
        self.clock = clock

    def log(self, request: Any) -> None:
        """Log nothing."""

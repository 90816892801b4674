"""The client for Twisted: a service whose verbs return Deferreds.

def heard(event):
    if isinstance(event, Said) and event.nick != chat.nick:
        return chat.send(event.room, event.text)

chat = ChatService(reactor, ["localhost:8080"], nick="parrot", rooms=["tea"], heard=heard)
chat.setServiceParent(application)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.client.addresses import Address, Attempts
from disroom.client.calls import Call, ChatFailed, Outcome
from disroom.client.core import Core
from disroom.client.events import Event
from disroom.client.shell import Shell

CONNECT_SECONDS = 5.0
TICK_SECONDS = 1.0
EXIT_SECONDS = 5.0


class _Connection(Protocol):
    """Carries bytes between the service and a server."""

    transport: Any

    def __init__(self, chat: ChatService) -> None:
        self._chat: ChatService | None = chat

    def connectionMade(self) -> None:
        """Begin."""
        self.transport.setTcpNoDelay(True)
        if self._chat:
            self._chat.connection_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what was read."""
        if self._chat:
            self._chat.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on that it is over."""
        clean = reason.check(ConnectionDone)
        why = "the server closed the connection" if clean else reason.getErrorMessage()
        if self._chat:
            self._chat.connection_lost(why)

    def part(self) -> None:
        """Break off, and pass nothing more on: the service may have begun anew by then."""
        self._chat = None
        self.transport.abortConnection()


class ChatService(Service, Shell):
    """One user of a chat, connected while the service runs.

    Events are handed over as they are read, so that none waits. A service that was stopped can be
    started again.

    Args:
        reactor: To connect and to wait with.
        addresses: Of the servers, ``HOST:PORT`` or ``tls://HOST:PORT``.
        nick: What the user is called.
        rooms: Those to be in from the beginning.
        heard: Takes each event, in order. It may be a coroutine function or return a Deferred;
            nothing waits for these. What fails is logged.
        closed: Told why there will be no further connection, should that be so while the service
            runs; by default that is logged.
        trust: How to verify ``tls://`` servers, an IOpenSSLTrustRoot; by default with the system's
            authorities.

    Raises:
        ValueError: An address is none.
        ImportError: TLS is asked for and not installed: pip install 'disroom[tls]'.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        addresses: Iterable[str],
        *,
        nick: str,
        rooms: Iterable[str] = (),
        heard: Callable[[Event], object],
        closed: Callable[[ChatFailed], object] | None = None,
        trust: Any = None,
    ) -> None:
        Shell.__init__(self, Core(nick, rooms))
        self._reactor = reactor
        self._attempts = Attempts(addresses)
        self._tls_options = _tls_options(trust) if self._attempts.tls else None
        self._heard = heard
        self._closed = closed or self._log_closed
        self._connection: _Connection | None = None
        self._connecting: Deferred[Any] | None = None
        self._pause: IDelayedCall | None = None
        self._leaving: Deferred[None] | None = None
        self._exiting = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor

    def startService(self) -> None:
        """Connect, and again whenever that is needed."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self._core.closed:
            self._core = Core(self._core.nick, tuple(self._core.rooms))
        self._exiting = False
        self._attempts.succeeded()
        self._own(self._ticking.start(TICK_SECONDS, now=False))
        self._connect()

    def stopService(self) -> Deferred[None] | None:
        """Leave: what was sent is stored first, where that can be had within 5 seconds."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self._core.closed or not (self._core.waiting or self._core.connected):
            self._end()
            return None
        self._leaving = Deferred()
        left = self._leaving.addTimeout(EXIT_SECONDS, self._reactor)
        self._leave_when_stored()
        return left.addErrback(lambda late: None).addCallback(lambda _: self._end())

    def _leave_when_stored(self) -> None:
        if self._leaving and self._core.connected and not self._core.waiting and not self._exiting:
            self._exiting = True
            self._core.exit()
            self._flush()

    def _end(self) -> None:
        self._leaving = None
        if self._ticking.running:
            self._ticking.stop()
        self._core.close()
        if self._pause and self._pause.active():
            self._pause.cancel()
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.part()
            self._connection = None

    # The connection.

    def connection_made(self, connection: _Connection) -> None:
        """Begin on a new connection."""
        self._connection = connection
        self._core.connection_made()
        self._flush()

    def received(self, data: bytes) -> None:
        """Take what was read."""
        self._core.received(data)
        self._flush()
        self._pass_on()
        self._leave_when_stored()
        if self._core.connected:
            self._attempts.welcomed()
        if self._core.hangs_up or self._core.closed:
            self._hang_up()

    def connection_lost(self, why: str) -> None:
        """Take note that there is none, and make another."""
        self._connection = None
        self._core.connection_lost(why)
        self._attempts.failed(self._core.last_failure)
        self._pass_on()
        if self._leaving and (self._exiting or self._core.closed or not self._core.waiting):
            self._leaving.callback(None)
        elif not self._core.closed:
            self._connect()
        elif self.running:
            self._closed(self._core.closed)

    def _connect(self) -> None:
        pause, address = self._attempts.next()
        if pause:
            self._log.debug(
                "No connection; again in {pause:.1f} s: {why}",
                pause=pause,
                why=self._attempts.account(),
            )
        self._pause = self._reactor.callLater(pause, self._connect_to, address)

    def _connect_to(self, address: Address) -> None:
        endpoint: Any = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=CONNECT_SECONDS
        )
        if address.tls and self._tls_options:
            endpoint = wrapClientTLS(self._tls_options(address.host), endpoint)
        self._connecting = endpoint.connect(Factory.forProtocol(lambda: _Connection(self)))
        self._own(self._connecting.addCallbacks(self._connected, self._failed))

    def _connected(self, _: Any) -> None:
        self._connecting = None

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        if not self._core.closed:
            self.connection_lost(failure.getErrorMessage())

    # In between.

    def _ask(self, call: Call) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, ChatFailed):
                deferred.errback(outcome)
            else:
                deferred.callback(outcome)

        call.done = done
        self._core.ask(call)
        self._flush()
        return deferred

    def _tick(self) -> None:
        if self._connection is None:
            return
        if not self._core.tick(self._reactor.seconds()):
            self._hang_up()
            return
        self._flush()
        if self._core.steady:
            self._attempts.succeeded()

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.transport.abortConnection()

    def _flush(self) -> None:
        data = self._core.take_outgoing() if self._connection else b""
        if data and self._connection:
            self._connection.transport.write(data)

    def _pass_on(self) -> None:
        for event in self._core.take_events():
            try:
                taken = self._heard(event)
            except Exception:
                self._log.failure("An event was not taken well")
                continue
            if isinstance(taken, Coroutine):
                self._own(Deferred.fromCoroutine(taken))
            elif isinstance(taken, Deferred):
                self._own(taken)

    def _own(self, deferred: Deferred[Any]) -> None:
        """Log how it fails, should it."""
        deferred.addErrback(lambda failure: self._log.failure("Not done", failure=failure))

    def _log_closed(self, why: ChatFailed) -> None:
        self._log.error("The chat has ended: {why} ({code})", why=str(why), code=why.code)


def _tls_options(trust: Any) -> Callable[[str], Any]:
    """Makes the options for a host; of the tls extra, so that it is asked for at the beginning."""
    from twisted.internet.ssl import optionsForClientTLS

    return lambda host: optionsForClientTLS(host, trustRoot=trust)

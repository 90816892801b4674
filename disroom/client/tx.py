"""The client for Twisted: a service whose verbs return Deferreds.

class Parrot:
    def event(self, event):
        if isinstance(event, Said) and event.nick != chat.nick:
            chat.send(event.room, event.text)

chat = ChatService(reactor, ["localhost:8080"], nick="parrot", rooms=["tea"], heard=Parrot().event)
chat.setServiceParent(application)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.client.addresses import Address, Attempts
from disroom.client.calls import Call, ChatFailed, Outcome, Verbs
from disroom.client.core import Core, Event
from disroom.wire import messages

CONNECT_SECONDS = 5.0
TICK_SECONDS = 1.0
EXIT_SECONDS = 5.0


class _Connection(Protocol):
    """Carries bytes between the service and a server."""

    def __init__(self, chat: ChatService) -> None:
        self._chat = chat

    def connectionMade(self) -> None:
        """Begin."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # it is a TCP connection
        self._chat.connection_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what was read."""
        self._chat.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on that it is over."""
        self._chat.connection_lost(reason.getErrorMessage())


class ChatService(Service, Verbs):
    """One user of a chat, connected while the service runs.

    Args:
        reactor: To connect and to wait with.
        addresses: Of the servers, ``HOST:PORT`` or ``tls://HOST:PORT``.
        nick: What the user is called.
        rooms: Those to be in from the beginning.
        heard: Takes each event, in order; what it raises is logged.
        closed: Told why there will be no further connection, should that be so while the service
            runs.
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
        closed: Callable[[ChatFailed], object] = lambda why: None,
    ) -> None:
        prefix, numbers = secrets.token_urlsafe(6), count(1)
        Verbs.__init__(self, self._ask_core, lambda: f"{prefix}-{next(numbers)}")
        self._reactor = reactor
        self._core = Core(nick, rooms)
        self._attempts = Attempts(addresses)
        self._heard = heard
        self._tell_closed = closed
        self._connection: _Connection | None = None
        self._connecting: Deferred[Any] | None = None
        self._pause: IDelayedCall | None = None
        self._left: Deferred[None] | None = None
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor

    @property
    def nick(self) -> str:
        """What the user is called."""
        return self._core.nick

    @property
    def rooms(self) -> Mapping[Any, Any]:
        """The rooms that the user is in, each a `disroom.client.rooms.Room`."""
        return self._core.rooms

    def startService(self) -> None:
        """Connect, and again whenever that is needed."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._ticking.start(TICK_SECONDS, now=False)
        self._connect()

    def stopService(self) -> Deferred[None] | None:
        """Leave: what was sent is stored first, where that can be had within a few seconds."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._ticking.stop()
        if self._pause and self._pause.active():
            self._pause.cancel()
        if self._connecting:
            self._connecting.cancel()
        if self._connection is None or not self._core.connected:
            self._end()
            return None
        self._core.exit()
        self._flush()
        self._left = Deferred()
        return self._left.addTimeout(EXIT_SECONDS, self._reactor).addBoth(lambda _: self._end())

    def _end(self) -> None:
        self._core.close()
        if self._connection:
            self._connection.transport.abortConnection()  # type: ignore[union-attr]  # it has one

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
        if self._core.connected:
            self._attempts.succeeded()
        if self._connection and (self._core.hangs_up or self._core.closed):
            self._connection.transport.abortConnection()  # type: ignore[union-attr]  # it has one

    def connection_lost(self, why: str) -> None:
        """Take note that there is none, and make another."""
        self._connection = None
        self._core.connection_lost(why)
        self._pass_on()
        if self._left is not None:
            left, self._left = self._left, None
            left.callback(None)
        elif self._core.closed and self.running:
            self._tell_closed(self._core.closed)
        else:
            self._connect()

    def _connect(self) -> None:
        pause, address = self._attempts.next()
        if self.running:
            self._pause = self._reactor.callLater(pause, self._connect_to, address)

    def _connect_to(self, address: Address) -> None:
        factory = Factory.forProtocol(lambda: _Connection(self))
        self._connecting = self._endpoint(address).connect(factory)
        self._connecting.addCallbacks(self._connected, self._failed, errbackArgs=(address,))

    def _endpoint(self, address: Address) -> IStreamClientEndpoint:
        endpoint: Any = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=CONNECT_SECONDS
        )
        if address.tls:
            from twisted.internet.ssl import optionsForClientTLS  # of the tls extra

            endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
        return endpoint  # type: ignore[no-any-return]  # Twisted's are untyped

    def _connected(self, _: Any) -> None:
        self._connecting = None

    def _failed(self, failure: Failure, address: Address) -> None:
        self._connecting = None
        if self.running:
            self.connection_lost(f"{address}: {failure.getErrorMessage()}")

    # In between.

    def _ask_core(
        self, op: str, fields: Mapping[str, Any], answer: type[messages.Ok], again: bool
    ) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, ChatFailed):
                deferred.errback(outcome)
            else:
                deferred.callback(outcome)

        self._core.ask(Call(op, fields, answer, done, again))
        self._flush()
        return deferred

    def _tick(self) -> None:
        if self._connection is None:
            return
        if self._core.tick(self._reactor.seconds()):
            self._flush()
        else:
            self._connection.transport.abortConnection()  # type: ignore[union-attr]  # it has one

    def _flush(self) -> None:
        if self._connection:
            data = self._core.take_outgoing()
            if data:
                self._connection.transport.write(data)  # type: ignore[union-attr]  # it has one

    def _pass_on(self) -> None:
        for event in self._core.take_events():
            try:
                self._heard(event)
            except Exception:
                self._log.failure("An event was not taken well")

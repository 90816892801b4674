"""The parent's listening ports: it accepts, and somebody else talks.

Sharing them would be less: of 100 connections in a burst one of two workers got 1 to 24 from a
common accept queue, since the one that wakes first takes what there is; SO_REUSEPORT throws dice
(43 to 57 of 100), and is nothing for unix sockets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.transports.listeners import Listener, ListenError, listen, parse_endpoint, shown
from disroom.workers.dealing import MOST_AT_ONCE

PAUSE_SECONDS = 0.02
"""Before the next try, where no worker takes a connection or there is no descriptor for it;
meanwhile others wait in the kernel's queue."""

Deal = Callable[[int, socket.socket], bool]
"""Pass on a connection of a listener, by its number; False where nobody takes it: it stays ours."""


class Dealer:
    """All listening ports for clients, on the workers' behalf.

    Args:
        endpoints: Twisted server endpoint strings.
        deal: Passes connections on.

    Raises:
        ListenError: An endpoint string is none.
    """

    _log = Logger()

    def __init__(self, reactor: Any, endpoints: Sequence[str], deal: Deal) -> None:
        self._reactor = reactor
        nobody = Factory()  # nothing is accepted through the endpoints
        nobody.noisy = False
        self._listeners = [Listener(e, parse_endpoint(reactor, e), nobody) for e in endpoints]
        self._deal = deal
        self._ports: list[IListeningPort] = []
        self._acceptors: list[Acceptor] = []

    async def start(self) -> None:
        """Listen on every endpoint.

        Raises:
            ListenError: One of them cannot be listened on, or is no socket.
        """
        for number, listener in enumerate(self._listeners):
            port = await listen(listener)
            self._ports.append(port)
            if not IReadDescriptor.providedBy(port):
                raise ListenError(f"{listener.name} is no socket, which workers could share")
            # The endpoint has made it as it should be, and will clear it up; reading is ours.
            self._reactor.removeReader(port)
            acceptor = Acceptor(self._reactor, port.fileno(), number, self._deal)
            self._acceptors.append(acceptor)
            acceptor.resume()
            self._log.info("Listening on {address}", address=shown(port.getHost()))

    async def stop(self) -> None:
        """Listen no more."""
        for acceptor in self._acceptors:
            acceptor.stop()
        for port in self._ports:
            await maybeDeferred(port.stopListening)


@implementer(IReadDescriptor)
class Acceptor:
    """Accepts on a listening socket.

    Args:
        descriptor: The socket's; it stays the caller's.
        number: The listener's.
    """

    _log = Logger()

    def __init__(self, reactor: Any, descriptor: int, number: int, deal: Deal) -> None:
        self._reactor = reactor
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._number = number
        self._deal = deal
        self._held: socket.socket | None = None
        self._failing = False
        self._pause: Any = None

    def resume(self) -> None:
        """Go on, with the connection that nobody took first."""
        self._pause = None
        held, self._held = self._held, None
        if held is not None and not self._pass_on(held):
            return
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more."""
        self._reactor.removeReader(self)
        if self._pause is not None:
            self._pause.cancel()
        if self._held is not None:
            self._held.close()
        self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """For the reactor."""
        return "acceptor"

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Accept what is there."""
        for _ in range(MOST_AT_ONCE):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # it went while it waited
                continue
            except OSError as error:
                if not self._failing:  # once: it is tried again 50 times a second
                    self._log.error("cannot accept: {reason}", reason=error.strerror)
                self._failing = True
                self._wait()
                return
            self._failing = False
            connection.setblocking(False)
            if not self._pass_on(connection):
                return

    def _pass_on(self, connection: socket.socket) -> bool:
        if not self._deal(self._number, connection):
            self._held = connection
            self._wait()
            return False
        return True

    def _wait(self) -> None:
        self._reactor.removeReader(self)
        self._pause = self._reactor.callLater(PAUSE_SECONDS, self.resume)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor could not read; it has given up by itself."""

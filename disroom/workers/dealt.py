"""A worker's side: listeners without ports, whose connections are dealt to it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from disroom.chat.interfaces import IMember
from disroom.transports.connections import Connections, has_limit
from disroom.transports.listeners import Listener, farewell, listen, parse_endpoint
from disroom.wire.errors import ServerFull, TooManyConnections
from disroom.workers.dealing import Deal, Deals
from disroom.workers.messages import Came, Gone, Located, Refuse, Report, Took
from disroom.workers.tally import Verdict

_FROM_SYSTEMD = re.compile(r"(?:^|(?<=^haproxy:))systemd:.*")


class DealtConnections(Connections):
    """The connections of a worker: how many there may be is for the parent to say.

    Args:
        most: What this process has room for.
        most_per_address: As the parent counts it; for the words of a refusal.
        tell: Reports to the parent.
    """

    def __init__(self, most: int, most_per_address: int, tell: Callable[[Report], None]) -> None:
        super().__init__(most)
        self._most_for_all = most_per_address
        self._tell = tell
        self._deal: Deal | None = None
        self._latest = 0
        self._keys: dict[IMember, int] = {}
        self._members: dict[int, IMember] = {}

    @contextmanager
    def dealt(self, deal: Deal) -> Iterator[None]:
        """Take what is admitted meanwhile for this deal; one that is not admitted is gone."""
        self._tell(Took(deal.key))
        self._deal = deal
        count = len(self._keys)
        try:
            yield
        finally:
            self._deal = None
            if len(self._keys) == count:
                self._tell(Gone(deal.key))

    def admit(self, member: IMember) -> None:
        """Count a connection in.

        Raises:
            ServerFull: The parent says so, or this process has no room.
        """
        if self._deal is not None and self._deal.verdict is Verdict.FULL:
            raise ServerFull
        super().admit(member)
        if self._deal is None:
            self._latest -= 1
            key = self._latest
            self._tell(Came(key))
        else:
            key = self._deal.key
        self._keys[member] = key
        self._members[key] = member

    def locate(self, member: IMember, host: str | None) -> None:
        """Note where a connection is from; the parent knows already, unless it is found out now.

        Raises:
            TooManyConnections: The parent says so.
        """
        if self._deal is None:
            if host is not None and self._most_for_all and has_limit(host):
                self._tell(Located(self._keys[member], host))
        elif self._deal.verdict is Verdict.CROWDED:
            raise TooManyConnections(self._most_for_all)

    def refuse(self, refused: Refuse) -> None:
        """Close a connection for the parent; it may be gone already."""
        member = self._members.get(refused.key)
        if member is not None:
            crowded = TooManyConnections(self._most_for_all)
            member.close(ServerFull() if refused.full else crowded)

    def forget(self, member: IMember) -> None:
        """Count a connection out."""
        super().forget(member)
        key = self._keys.pop(member, None)
        if key is not None:
            del self._members[key]
            self._tell(Gone(key))


class DealtListeners:
    """What serves the connections of each of the parent's listeners.

    Args:
        channel: Where they come from.
        factories: For each endpoint string of the configuration, in its order, what serves it.
        connections: What comes in.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        channel: socket.socket,
        factories: Sequence[tuple[str, IProtocolFactory]],
        connections: DealtConnections,
    ) -> None:
        self._reactor = reactor
        self._endpoints = factories
        self._connections = connections
        self._deals = Deals(reactor, channel, self._taken)
        self._factories: list[IProtocolFactory] = []

    async def start(self) -> None:
        """Take connections.

        Raises:
            ListenError: An endpoint is none, or names something that cannot be used.
        """
        for text, factory in self._endpoints:
            # A descriptor from systemd is the parent's; how it is served is as with any other.
            wrapping = _Wrapping()
            endpoint = parse_endpoint(wrapping, _FROM_SYSTEMD.sub("tcp:0", text))
            await listen(Listener(text, endpoint, factory))
            wrapping.factory.doStart()
            self._factories.append(wrapping.factory)
        self._deals.start()

    async def stop(self) -> None:
        """Take no more, say goodbye to everybody and wait until that is read, within a second."""
        self._deals.stop()
        await farewell(self._connections, self._reactor)
        for factory in self._factories:
            factory.doStop()

    def _taken(self, connection: socket.socket | None, deal: Deal) -> None:
        with self._connections.dealt(deal):
            if connection is None:
                self._log.error("no descriptor is left for a connection")
                return
            with connection:
                try:
                    self._reactor.adoptStreamConnection(
                        connection.fileno(), connection.family, self._factories[deal.listener]
                    )
                except OSError:  # it has gone meanwhile
                    return


class _Wrapping:
    """What an endpoint takes for its reactor; it listens nowhere.

    Attributes:
        factory: What was to be listened with: ours in what the endpoint puts around it, such as
            TLS and the PROXY protocol.
    """

    factory: Any

    def listenTCP(self, port: int, factory: Any, *_: object, **__: object) -> None:  # noqa: N802
        self.factory = factory

    def listenUNIX(self, path: str, factory: Any, *_: object, **__: object) -> None:  # noqa: N802
        self.factory = factory

    def listenSSL(  # noqa: N802
        self,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803
        **_: object,
    ) -> None:
        from twisted.protocols.tls import TLSMemoryBIOFactory  # needs disroom[tls]

        self.factory = TLSMemoryBIOFactory(contextFactory, False, factory)
